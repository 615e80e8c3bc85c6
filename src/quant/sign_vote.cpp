#include "quant/sign_vote.hpp"

namespace qtrain::quant {

void SignVote::encode(std::span<const float> g, const EncodeContext& context, RandomStream& /*random*/,
                      std::span<std::byte> message) const {
  if (momentum_ == 0) return put_signs(g, message);
  for (std::size_t i = 0; i < g.size(); ++i)
    context.memory[i] = momentum_ * context.memory[i] + (1 - momentum_) * g[i];
  put_signs(context.memory, message);
}

void SignVote::decode(std::span<const std::byte> message, std::span<float> g) const {
  get_signs(message, 1, g);
}

void SignVote::combine(std::span<float> sum, float /*weight*/) const {
  for (float& value : sum) value = value > 0 ? 1.0F : value < 0 ? -1.0F : 0.0F;
}

}  // namespace qtrain::quant
