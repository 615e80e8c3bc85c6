// TernGrad: Wen, Xu, Yan, Wu, Wang, Chen, Li, "TernGrad: Ternary Gradients to Reduce Communication in
// Distributed Deep Learning", NeurIPS 2017 (arXiv:1705.07878).
//
//   g~_i = s sign(g_i) b_i     b_i = 1 with probability |g_i| / s, else 0, so the mean of g~ is g
//   s = max |g|                the largest of all workers', which share it
//   message: s as a float, then two bits a value: 0, +1 or -1
//
// The paper clips at 2.5 standard deviations first: clip 2.5. A g of zeros stays zero.
#include "quant/gradient.hpp"

namespace qtrain::quant::gradients {
namespace {

constexpr int kBits = 2;

class Terngrad final : public GradientQuantizer {
 public:
  std::size_t message_bytes(std::size_t size) const override {
    return sizeof(float) + packed_bytes(size, kBits);
  }
  float scale(std::span<const float> g) const override { return largest_gradient(g); }
  bool shares_scale() const override { return true; }
  void encode(std::span<const float> g, const EncodeContext& context, RandomStream& random,
              std::span<std::byte> message) const override {
    put_scale(context.scale, message);
    BitWriter out(message.subspan(sizeof(float)));
    put_levels(g, context.scale, 1, kBits, random, out);
  }
  void decode(std::span<const std::byte> message, std::span<float> g) const override {
    BitReader in(message.subspan(sizeof(float)));
    get_levels(in, get_scale(message), 1, kBits, g);
  }
};

}  // namespace

GradientMethod read_terngrad(spec::Reader& /*keys*/) {
  return {.exchanged = [] { return std::make_unique<Terngrad>(); }};
}

}  // namespace qtrain::quant::gradients
