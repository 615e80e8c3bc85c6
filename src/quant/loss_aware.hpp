#pragma once
#include <span>
#include <string>
#include <vector>

#include "quant/weight_method.hpp"

namespace qtrain::quant {

/// Keys that the loss-aware methods share.
struct LossAwareOptions {
  std::string curvature = "optimizer";
  double clip = 1;
  /// Reads `curvature` and `clip`.
  void read(spec::Reader& keys);
};

/// What loss-aware methods share: a diagonal curvature d = sqrt(v) + 1e-8 of the loss at each weight, from a
/// mean v of squared gradients, and the clipping of latents.
///   optimizer    v is the optimizer's second moment as it stands
///   accumulator  v = 0.999 v + 0.001 gw^2 over the gradients at the quantized weights, from 0, kept here
/// Where there is no v (an optimizer without one, or none yet) d is constant. Only ratios of d matter to the
/// methods, so Adam's bias correction, a common factor of v, changes nothing.
class LossAware : public WeightMethod {
 public:
  LossAware(const LossAwareOptions& options, std::size_t size);

  void pulled(std::span<const float> u, std::span<const float> w, std::span<const float> gw,
              const WeightContext& context, std::span<float> gu) override;
  /// u = min(max(u, -clip), clip), unless clip is 0.
  void settled(std::span<float> u, const WeightContext& context) override;
  std::vector<std::span<float>> state() override;
  bool wants_second_moment() const override { return !accumulates_; }

 protected:
  /// d of every weight; valid until the next call.
  std::span<const float> curvature(const WeightContext& context);

 private:
  bool accumulates_;
  float clip_;
  std::vector<float> v_;  // of the accumulator
  std::vector<float> d_;
};

}  // namespace qtrain::quant
