// Stochastic linear quantization of gradients, SQm: Hou, Zhang, Kwok, "Analysis of Quantized Models", ICLR
// 2019, section 3.
//
//   s = max |g|, k = 2^(bits-1) - 1
//   g~_i = s sign(g_i) l / k     l in {0..k} is one of the two levels around k |g_i| / s, drawn so that the
//                                mean of g~ is g
//   message: s as a float, then sign and l of each value in `bits` bits
//
// SQ2 is TernGrad without a shared scale. A g of zeros stays zero; |g_i| = s is level k with certainty.
#include "quant/gradient.hpp"

namespace qtrain::quant::gradients {
namespace {

class StochasticLinear final : public GradientQuantizer {
 public:
  explicit StochasticLinear(int bits) : bits_(bits), top_((1 << (bits - 1)) - 1) {}

  std::size_t message_bytes(std::size_t size) const override {
    return sizeof(float) + packed_bytes(size, bits_);
  }
  float scale(std::span<const float> g) const override { return largest_gradient(g); }
  void encode(std::span<const float> g, const EncodeContext& context, RandomStream& random,
              std::span<std::byte> message) const override {
    put_scale(context.scale, message);
    BitWriter out(message.subspan(sizeof(float)));
    put_levels(g, context.scale, top_, bits_, random, out);
  }
  void decode(std::span<const std::byte> message, std::span<float> g) const override {
    BitReader in(message.subspan(sizeof(float)));
    get_levels(in, get_scale(message), top_, bits_, g);
  }

 private:
  int bits_;
  int top_;
};

}  // namespace

GradientMethod read_stochastic_linear(spec::Reader& keys) {
  int bits = 2;
  keys.field("bits", bits, spec::between(2, 8), "m: sign and magnitude of a value");
  return {.exchanged = [bits] { return std::make_unique<StochasticLinear>(bits); }};
}

}  // namespace qtrain::quant::gradients
