#pragma once
#include "quant/gradient.hpp"

namespace qtrain::quant {

/// Messages of signs, combined by majority: sign_sgd, and with a momentum signum.
class SignVote final : public GradientQuantizer {
 public:
  /// `momentum` is beta of each worker's m <- beta m + (1 - beta) g; with 0 signs are of g.
  explicit SignVote(double momentum) : momentum_(static_cast<float>(momentum)) {}

  std::size_t message_bytes(std::size_t size) const override { return packed_bytes(size, 1); }
  std::size_t memory_size(std::size_t size) const override { return momentum_ > 0 ? size : 0; }
  void encode(std::span<const float> g, const EncodeContext& context, RandomStream& random,
              std::span<std::byte> message) const override;
  void decode(std::span<const std::byte> message, std::span<float> g) const override;
  void combine(std::span<float> sum, float weight) const override;

 private:
  float momentum_;
};

}  // namespace qtrain::quant
