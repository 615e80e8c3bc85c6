#include "labs/latent_weights.hpp"

#include <fmt/format.h>

namespace qtrain::labs {
namespace {

std::unique_ptr<quant::WeightMethod> make_method(const quant::WeightSpec& weights, std::size_t size) {
  return weights.make({"w", {1, static_cast<std::int64_t>(size)}});
}

}  // namespace

void read_weights(spec::Reader& keys, quant::WeightSpec& weights) {
  weights.read(keys.group("weights", "how w is quantized; keys as in quantize.weights"));
  if (!make_method(weights, 1)->learned().empty())
    keys.mistake("weights",
                 fmt::format("has method {}, which learns values of its own: a lab trains weights alone",
                             weights.method));
}

LatentWeights::LatentWeights(const quant::WeightSpec& weights, std::span<const float> initial)
    : method_(make_method(weights, initial.size())),
      w_(initial.begin(), initial.end()),
      gw_(initial.size()),
      u_(initial.size() * method_->latents_per_weight()),
      gu_(u_.size()),
      final_(initial.size()) {
  method_->initialize(w_, u_);
}

std::span<const float> LatentWeights::used(const quant::WeightContext& context) {
  method_->used(u_, context, w_);
  return w_;
}

std::span<float> LatentWeights::latent_gradient(const quant::WeightContext& context) {
  method_->pulled(u_, w_, gw_, context, gu_);
  return gu_;
}

std::span<const float> LatentWeights::final(quant::WeightContext context) {
  context.evaluation = true;
  method_->final(u_, context, final_);
  return final_;
}

}  // namespace qtrain::labs
