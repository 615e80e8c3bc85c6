#pragma once
#include <algorithm>
#include <cmath>

#include "engine/net.hpp"

namespace qtrain::engine::test {

/// codes = sign(x), value = codes: a quantizer for which 0 is no code, the trap of padded layouts.
class SignActivation final : public quant::ActivationQuantizer {
 public:
  void forward(std::span<const float> x, std::span<float> codes) const override {
    for (std::size_t k = 0; k < x.size(); ++k) codes[k] = x[k] < 0 ? -1.0f : 1.0f;
  }
  float scale() const override { return 0.5f; }
  quant::ActivationRange range() const override { return {-1, 1}; }
  int lowest_code() const override { return -1; }
  int highest_code() const override { return 1; }
  int levels() const override { return 2; }
};
class HardTanh final : public quant::Ste {
 public:
  void multiply(std::span<const float> x, const quant::ActivationRange&, std::span<float> g) const override {
    for (std::size_t k = 0; k < x.size(); ++k)
      if (std::abs(x[k]) > 1) g[k] = 0;
  }
};
/// w = scale_o sign(u), a scale for each output channel.
class ChannelSign final : public quant::WeightMethod {
 public:
  explicit ChannelSign(std::size_t outputs) : outputs_(outputs) {}
  void used(std::span<const float> u, const quant::WeightContext&, std::span<float> w) override {
    for (std::size_t k = 0; k < u.size(); ++k)
      w[k] = (u[k] < 0 ? -1.0f : 1.0f) * scale(k / (u.size() / outputs_));
  }
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    for (std::size_t o = 0; o < outputs_; ++o) scales[o] = scale(o);
    for (std::size_t k = 0; k < w.size(); ++k) codes[k] = w[k] < 0 ? -1.0f : 1.0f;
    return true;
  }
  std::size_t scale_count() const override { return outputs_; }
  std::optional<quant::CodeRange> code_range() const override { return quant::CodeRange{-1, 1, 2}; }
  int bits() const override { return 1; }

 private:
  static float scale(std::size_t o) { return 0.25f + 0.125f * static_cast<float>(o % 3); }
  std::size_t outputs_;
};

inline Quantization sign_everything(const model::Graph& graph) {
  Quantization q;
  for (const auto& p : model::parameters(graph)) {
    q.weights.emplace_back();
    if (p.kind == model::Parameter::Kind::weight)
      q.weights.back() = [](const quant::WeightTensor& t) {
        return std::make_unique<ChannelSign>(t.outputs());
      };
  }
  q.activations = [](const quant::ActivationTensor&) { return std::make_unique<SignActivation>(); };
  q.ste = [] { return std::make_unique<HardTanh>(); };
  return q;
}

/// codes = min(max(round(x), 0), 200): unsigned bytes.
class Steps final : public quant::ActivationQuantizer {
 public:
  void forward(std::span<const float> x, std::span<float> codes) const override {
    for (std::size_t k = 0; k < x.size(); ++k) codes[k] = std::clamp(std::nearbyint(60 * x[k]), 0.0f, 200.0f);
  }
  float scale() const override { return 1.0f / 60; }
  quant::ActivationRange range() const override { return {0, 200.0f / 60}; }
  int lowest_code() const override { return 0; }
  int highest_code() const override { return 200; }
};

struct Outcome {
  std::vector<double> losses;
  std::vector<float> latents, logits;
  bool operator==(const Outcome&) const = default;
};

/// Steps of gradient descent on one batch.
inline Outcome train_some(const model::Graph& graph, const Quantization& q, Options options, int count,
                          int steps = 3) {
  Engine engine(graph, q, {}, options);
  const Data data(graph, count);
  const quant::WeightContext context;
  Outcome out;
  for (int s = 0; s < steps; ++s) {
    engine.use_weights(context);
    out.losses.push_back(engine.train(data.images, data.labels).loss);
    engine.pull_gradients();
    for (std::size_t k = 0; k < engine.latents().size(); ++k)
      engine.latents()[k] -= 0.1f * engine.gradients()[k];
  }
  out.latents.assign(engine.latents().begin(), engine.latents().end());
  engine.use_weights(context);
  out.logits = engine.logits(data.images, count);
  return out;
}

}  // namespace qtrain::engine::test
