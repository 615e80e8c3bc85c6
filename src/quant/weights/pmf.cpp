// Proximal mean-field: Ajanthan, Dokania, Hartley, Torr, "Proximal Mean-field for Neural Network
// Quantization", ICCV 2019 (arXiv:1812.04353). Each weight is a mean of the levels q_l with shares u_l, one
// latent t_l a level.
//
//   w = sum_l q_l u_l      levels: binary q = -1, 1; ternary q = -1, 0, 1
//   beta(k) = min(beta_start rho^ceil(k / I), beta_limit) at step k = 0, 1, ...
//   gt = beta J (q gw)     with u and J by projection:
//   softmax     u_l = exp(beta t_l) / sum_m exp(beta t_m)                                             PMF
//     jacobian: exact      J = diag(u) - u u^T, so gt_l = beta gw u_l (q_l - w)
//     jacobian: released   J = I - u' u'^T with u' = softmax(beta u), as in the authors' code
//   sparsemax   u = the point of the simplex nearest to beta t                                        PGD
//                          J = diag(s) - s s^T / sum(s), s_l = 1 if u_l > 0, else 0
//   argmax      u_l = 1 for the largest t_l; gt = q gw, straight through and without beta             PICM
//   final: the q_l of the largest t_l; a tie goes to 0, then to +1
//
// t_l starts at q_l w0 of the initial weight w0: with softmax binary weights start at tanh(beta_start w0); of
// ternary levels at q_l w0 - q_l^2 / 2, so that the level nearest to w0 is final (with argmax level 0 could
// not win otherwise). A next stage starts so from w0 = (t_1 - t_-1) / 2, without what level 0 of three had
// learned. Exponents are taken of differences to the largest t_l, and gradients beyond the range of float are
// cut to it, so any t and beta up to 1e35 are safe. rho, I and the limit of beta default to the authors'
// code's values for ResNet-18 on CIFAR-10.
#include <fmt/format.h>

#include "quant/simplex.hpp"

namespace qtrain::quant::weights {
namespace {

class Pmf final : public SimplexMethod {
 public:
  Pmf(UnitLevels levels, const Annealing& annealing, Projection projection, bool released)
      : SimplexMethod(levels, annealing, projection), released_(released) {}

  void pulled(std::span<const float> t, std::span<const float> w, std::span<const float> gw,
              const WeightContext& context, std::span<float> gt) override {
    if (projection_ == Projection::argmax) return SimplexMethod::pulled(t, w, gw, context, gt);
    const double beta = annealing_.beta(context.step);
    for (std::size_t i = 0; i < gw.size(); ++i) {
      const LevelValues u = project(projection_, latents(t, i), count_, beta);
      const LevelValues row = projection_ == Projection::sparsemax ? support_product(u)
                              : released_                          ? released_product(u, beta)
                                                                   : exact_product(u);
      for (std::size_t l = 0; l < count_; ++l)
        gt[i * count_ + l] = finite_float(beta * static_cast<double>(gw[i]) * row[l]);
    }
  }

 private:
  // J q of each kind. The mean of q under u is w, taken here in double.
  LevelValues exact_product(const LevelValues& u) const {
    const double w = mean(u);
    LevelValues product{};
    for (std::size_t l = 0; l < count_; ++l) product[l] = u[l] * (q_[l] - w);
    return product;
  }
  LevelValues released_product(const LevelValues& u, double beta) const {
    const LevelValues twice = project(Projection::softmax, u, count_, beta);
    const double w = mean(twice);
    LevelValues product{};
    for (std::size_t l = 0; l < count_; ++l) product[l] = q_[l] - twice[l] * w;
    return product;
  }
  LevelValues support_product(const LevelValues& u) const {
    LevelValues even{};
    double size = 0;
    for (const double share : u) size += share > 0 ? 1 : 0;
    for (std::size_t l = 0; l < count_; ++l) even[l] = u[l] > 0 ? 1 / size : 0;
    const double middle = mean(even);
    LevelValues product{};
    for (std::size_t l = 0; l < count_; ++l) product[l] = u[l] > 0 ? q_[l] - middle : 0;
    return product;
  }

  bool released_;
};

}  // namespace

WeightFactory read_pmf(spec::Reader& keys) {
  const UnitLevels levels = read_unit_levels(keys);
  std::string word = "softmax";
  std::string jacobian = "exact";
  keys.choice("projection", word, {"softmax", "sparsemax", "argmax"},
              "how latents become shares: PMF, PGD or PICM");
  keys.choice("jacobian", jacobian, {"exact", "released"}, "of softmax, or the authors' code's in its place");
  if (jacobian == "released" && word != "softmax")
    keys.mistake("jacobian", fmt::format("is released, must be exact with projection {}", word));
  Annealing annealing{.growth = 1.1, .interval = 1000, .limit = 1e4};
  annealing.read(keys);
  const auto projection = word == "softmax"     ? Projection::softmax
                          : word == "sparsemax" ? Projection::sparsemax
                                                : Projection::argmax;
  return [=](const WeightTensor&) {
    return std::make_unique<Pmf>(levels, annealing, projection, jacobian == "released");
  };
}

}  // namespace qtrain::quant::weights
