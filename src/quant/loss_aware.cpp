#include "quant/loss_aware.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"

namespace qtrain::quant {
namespace {

constexpr float kEpsilon = 1e-8F;
constexpr float kKept = 0.999F;
constexpr float kNew = 0.001F;
constexpr float kMost = std::numeric_limits<float>::max();  // stands for an overflown v

}  // namespace

void LossAwareOptions::read(spec::Reader& keys) {
  keys.choice("curvature", curvature, {"optimizer", "accumulator"},
              "mean squared gradients: the optimizer's second moment, or the method's own mean");
  keys.field("clip", clip, spec::non_negative, "latent weights are kept in [-clip, clip]; 0: they are not");
}

LossAware::LossAware(const LossAwareOptions& options, std::size_t size)
    : accumulates_(options.curvature == "accumulator"),
      clip_(static_cast<float>(options.clip)),
      v_(accumulates_ ? size : 0),
      d_(size) {}

void LossAware::pulled(std::span<const float> u, std::span<const float> w, std::span<const float> gw,
                       const WeightContext& context, std::span<float> gu) {
  WeightMethod::pulled(u, w, gw, context, gu);
  for (std::size_t i = 0; i < v_.size(); ++i) v_[i] = std::min(kKept * v_[i] + kNew * gw[i] * gw[i], kMost);
}

void LossAware::settled(std::span<float> u, const WeightContext& /*context*/) {
  if (clip_ == 0) return;
  for (float& value : u) value = std::clamp(value, -clip_, clip_);
}

std::vector<std::span<float>> LossAware::state() {
  if (!accumulates_) return {};
  return {v_};
}

std::span<const float> LossAware::curvature(const WeightContext& context) {
  const std::span<const float> v = accumulates_ ? v_ : context.second_moment;
  if (v.empty()) {
    std::ranges::fill(d_, 1.0F);
    return d_;
  }
  QTRAIN_CHECK(v.size() == d_.size(), "{} second moments of {} weights", v.size(), d_.size());
  for (std::size_t i = 0; i < d_.size(); ++i) d_[i] = std::sqrt(std::min(v[i], kMost)) + kEpsilon;
  return d_;
}

}  // namespace qtrain::quant
