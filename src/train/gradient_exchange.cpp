#include "train/gradient_exchange.hpp"

#include "base/cast.hpp"

namespace qtrain::train {

GradientExchange::GradientExchange(engine::Engine& engine, const quant::GradientSpec& spec,
                                   std::uint64_t seed)
    : engine_(engine), clip_(spec.clip), seed_(seed) {
  if (!spec.make) return;
  quantizer_ = spec.make();
  for (const engine::ParameterSlot& slot : engine.slots()) {
    if (slot.kind != engine::ParameterSlot::Kind::weight) continue;
    messages_.push_back({.offset = slot.offset,
                         .size = slot.size,
                         .tensor = narrow<std::uint32_t>(slot.index),
                         .bytes = std::vector<std::byte>(quantizer_->message_bytes(slot.size))});
  }
}

void GradientExchange::run(std::int64_t step) {
  for (Message& message : messages_) {
    const std::span<float> g = engine_.gradients().subspan(message.offset, message.size);
    quant::clip_gradient(clip_, g);
    RandomStream random(seed_, Purpose::stochastic_gradients, message.tensor, 0, narrow<std::uint32_t>(step));
    quantizer_->encode(g, quantizer_->scale(g), random, message.bytes);
    quantizer_->decode(message.bytes, g);
  }
}

}  // namespace qtrain::train
