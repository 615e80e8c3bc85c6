#pragma once
#include "quant/annealing.hpp"
#include "quant/unit_levels.hpp"
#include "quant/weight_method.hpp"

namespace qtrain::quant {

/// Weights between levels by tanh, ever sharper; straight through. What gd_tanh, md_tanh and md_tanh_s share.
///
///   binary   w = tanh(beta u)                                        final  sign(u), sign(0) = +1
///   ternary  w = (tanh(beta (u + 1/2)) + tanh(beta (u - 1/2))) / 2   final  0 if -1/2 < u < 1/2, else
///   sign(u)
class TanhProjection : public WeightMethod {
 public:
  TanhProjection(UnitLevels levels, const Annealing& annealing) : levels_(levels), annealing_(annealing) {}

  LatentKind latent_kind() const override { return LatentKind::dual; }
  void used(std::span<const float> u, const WeightContext& context, std::span<float> w) override;
  void final(std::span<const float> u, const WeightContext& context, std::span<float> w) override;
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    return unit_codes(w, codes, scales);
  }
  int bits() const override { return quant::bits(levels_); }

 protected:
  UnitLevels levels_;
  Annealing annealing_;
};

}  // namespace qtrain::quant
