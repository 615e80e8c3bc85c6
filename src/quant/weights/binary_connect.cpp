// BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
// Courbariaux, Bengio, David, NeurIPS 2015 (arXiv:1511.00363), Algorithm 1.
//
//   mode: deterministic   w = -1 if u < 0, else +1      so sign(0) = sign(-0) = +1
//   mode: stochastic      w = +1 with probability min(max((u + 1) / 2, 0), 1), else -1, drawn anew each step;
//                         evaluations use w = u, and the weights at the end are those of `deterministic`
//   bound: clip       gu = gw, straight through without a window; u = min(max(u, -1), 1) after each step
//   bound: gradient   gu = gw where |u| <= 1, else 0; u is not clipped. So the mirror descent authors' code
//                     has it (Ajanthan et al., AISTATS 2021, arXiv:1910.08237)
//
// scale_updates: true multiplies each update of u by 1 / sqrt(1.5 / (fan_in + fan_out)) before the clip, as
// the authors' code does; Algorithm 1 does not. A fan counts the channels times the places in the window;
// biases keep their updates.
#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "kernels/kernels.hpp"
#include "quant/weight_method.hpp"

namespace qtrain::quant::weights {
namespace {

/// The factor on updates for weights of this shape.
float update_scale(const WeightTensor& tensor) {
  const auto outputs = static_cast<double>(tensor.shape.at(0));
  if (tensor.shape.size() == 1) return 1;
  const auto inputs = static_cast<double>(tensor.inputs());
  const double window = static_cast<double>(element_count(tensor.shape)) / (outputs * inputs);
  return static_cast<float>(1 / std::sqrt(1.5 / (window * (inputs + outputs))));
}

class BinaryConnect final : public WeightMethod {
 public:
  BinaryConnect(const WeightTensor& tensor, bool stochastic, bool clips, bool scale_updates)
      : stochastic_(stochastic), clips_(clips) {
    if (!scale_updates) return;
    update_scale_ = update_scale(tensor);
    before_.resize(element_count(tensor.shape));
  }

  void used(std::span<const float> u, const WeightContext& context, std::span<float> w) override {
    if (!stochastic_)
      kernels::active().sign(u.data(), w.data(), u.size());
    else if (context.evaluation)
      std::ranges::copy(u, w.begin());
    else
      draw(u, context, w);
  }
  void pulled(std::span<const float> u, std::span<const float> w, std::span<const float> gw,
              const WeightContext& context, std::span<float> gu) override {
    WeightMethod::pulled(u, w, gw, context, gu);
    if (!clips_)
      for (std::size_t i = 0; i < u.size(); ++i) gu[i] = std::abs(u[i]) <= 1 ? gu[i] : 0.0F;
    if (!before_.empty()) std::ranges::copy(u, before_.begin());
  }
  void settled(std::span<float> u, const WeightContext&) override {
    for (std::size_t i = 0; i < before_.size(); ++i) u[i] = before_[i] + update_scale_ * (u[i] - before_[i]);
    if (clips_)
      for (float& value : u) value = std::clamp(value, -1.0F, 1.0F);
  }
  void final(std::span<const float> u, const WeightContext&, std::span<float> w) override {
    kernels::active().sign(u.data(), w.data(), u.size());
  }
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    if (stochastic_ && !std::ranges::all_of(w, [](float value) { return std::abs(value) == 1; }))
      return false;
    std::ranges::copy(w, codes.begin());
    scales[0] = 1;
    return true;
  }
  std::optional<CodeRange> code_range() const override {
    return stochastic_ ? std::nullopt : std::optional(CodeRange{-1, 1, 2});  // evaluations use w = u
  }
  int bits() const override { return 1; }

 private:
  static void draw(std::span<const float> u, const WeightContext& context, std::span<float> w) {
    const auto step = static_cast<std::uint64_t>(context.total_step());
    RandomStream random(context.seed, Purpose::stochastic_weights, context.tensor,
                        static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(step >> 32));
    for (std::size_t i = 0; i < u.size(); ++i) w[i] = random.uniform() < (u[i] + 1) / 2 ? 1.0F : -1.0F;
  }

  bool stochastic_, clips_;
  float update_scale_ = 1;
  std::vector<float> before_;  // u before the step; empty without scale_updates
};

}  // namespace

WeightFactory read_binary_connect(spec::Reader& keys) {
  std::string mode = "deterministic";
  std::string bound = "clip";
  bool scale_updates = false;
  keys.choice("mode", mode, {"deterministic", "stochastic"}, "how a weight's sign is found");
  keys.choice("bound", bound, {"clip", "gradient"},
              "what is cut at +-1: latents, or gradients of those beyond");
  keys.field("scale_updates", scale_updates, "whether updates are scaled as in the authors' code");
  return [=](const WeightTensor& tensor) {
    return std::make_unique<BinaryConnect>(tensor, mode == "stochastic", bound == "clip", scale_updates);
  };
}

}  // namespace qtrain::quant::weights
