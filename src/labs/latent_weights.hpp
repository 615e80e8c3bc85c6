#pragma once
#include <memory>
#include <vector>

#include "quant/weight_method.hpp"

namespace qtrain::labs {

/// Reads the group `weights`, whose keys are those of `quantize.weights`. Methods with learned values of
/// their own are a mistake: nothing trains those in a lab.
void read_weights(spec::Reader& keys, quant::WeightSpec& weights);

/// The weights of a lab: one tensor of shape 1 x d, its method and what the method keeps.
class LatentWeights {
 public:
  LatentWeights(const quant::WeightSpec& weights, std::span<const float> initial);

  /// w for this step, `gradient` to be written before `latent_gradient`.
  std::span<const float> used(const quant::WeightContext& context);
  std::span<float> gradient() { return gw_; }
  std::span<float> latent_gradient(const quant::WeightContext& context);
  std::span<float> latents() { return u_; }
  void settle(const quant::WeightContext& context) { method_->settled(u_, context); }
  /// The exactly quantized weights; no state changes.
  std::span<const float> final(quant::WeightContext context);

 private:
  std::unique_ptr<quant::WeightMethod> method_;
  std::vector<float> w_, gw_, u_, gu_, final_;
};

}  // namespace qtrain::labs
