#pragma once
#include <array>
#include <cstddef>
#include <span>

#include "quant/annealing.hpp"
#include "quant/unit_levels.hpp"
#include "quant/weight_method.hpp"

namespace qtrain::quant {

/// One number a level, levels ascending; only the first two count for binary levels.
using LevelValues = std::array<double, 3>;

/// How latents t of one weight become its shares u >= 0 of the levels, sum_l u_l = 1.
///   softmax    u_l = exp(beta t_l) / sum_m exp(beta t_m)
///   sparsemax  the point of the simplex nearest to beta t: u_l = max(beta t_l - tau, 0)
///   argmax     1 for the largest t_l; a tie goes to level 0, then to +1
enum class Projection { softmax, sparsemax, argmax };

/// `count` values t, beta > 0 and t any finite numbers; beta (t_l - t_m) must be finite in double.
LevelValues project(Projection projection, const LevelValues& t, std::size_t count, double beta);

/// Weights as means of the levels, with one latent a level: w = sum_l q_l u_l, u = P(beta t). Straight
/// through: gt_l = q_l gw. What md_softmax, md_softmax_s and pmf share.
class SimplexMethod : public WeightMethod {
 public:
  SimplexMethod(UnitLevels levels, const Annealing& annealing, Projection projection = Projection::softmax);

  std::size_t latents_per_weight() const override { return count_; }
  LatentKind latent_kind() const override { return LatentKind::dual; }
  /// Binary: t_l = q_l w, with softmax the tanh of beta w. Ternary: t_l = q_l w - q_l^2 / 2, which is -1/2
  /// the squared distance of w and q_l and what they share: the level nearest to w is final.
  void initialize(std::span<const float> w, std::span<float> t) override;
  /// Half the difference of the outer levels' latents.
  void carried(std::span<const float> t, const WeightContext& context, std::span<float> w) const override;
  void used(std::span<const float> t, const WeightContext& context, std::span<float> w) override;
  void pulled(std::span<const float> t, std::span<const float> w, std::span<const float> gw,
              const WeightContext& context, std::span<float> gt) override;
  /// The level of the largest latent, as Projection::argmax.
  void final(std::span<const float> t, const WeightContext& context, std::span<float> w) override;
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    return unit_codes(w, codes, scales);
  }
  int bits() const override { return quant::bits(levels_); }

 protected:
  /// The latents of weight i.
  LevelValues latents(std::span<const float> t, std::size_t i) const {
    LevelValues values{};
    for (std::size_t l = 0; l < count_; ++l) values[l] = static_cast<double>(t[i * count_ + l]);
    return values;
  }
  /// sum_l q_l u_l
  double mean(const LevelValues& u) const {
    double sum = 0;
    for (std::size_t l = 0; l < count_; ++l) sum += q_[l] * u[l];
    return sum;
  }
  void fill(Projection projection, std::span<const float> t, double beta, std::span<float> w) const;

  UnitLevels levels_;
  Annealing annealing_;
  Projection projection_;
  std::size_t count_;
  LevelValues q_;
};

}  // namespace qtrain::quant
