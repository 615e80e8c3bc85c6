// EF-signSGD: Karimireddy, Rebjock, Stich, Jaggi, "Error Feedback Fixes SignSGD and other Gradient
// Compression Schemes", ICML 2019 (arXiv:1901.09847), for each worker and tensor.
//
//   p = gamma g + e                   gamma: learning rate, e = 0 at the start
//   Delta = (||p||_1 / d) sign(p)     d values in the tensor
//   e <- p - Delta
//   x <- x - mean over workers of Delta
//   message: ||p||_1 / (d gamma) as a float, then one bit a value
//
// What is decoded is Delta / gamma, from which the optimizer sgd without momentum makes the step; another
// would move x by something else than e was told, and is refused. sign(0) = +1. A gamma of 0 moves nothing
// and leaves e as it is. Momentum, which the authors' code applies to g before, is left out.
#include <cmath>

#include "quant/gradient.hpp"

namespace qtrain::quant::gradients {
namespace {

class EfSignSgd final : public GradientQuantizer {
 public:
  std::size_t message_bytes(std::size_t size) const override { return sizeof(float) + packed_bytes(size, 1); }
  std::size_t memory_size(std::size_t size) const override { return size; }
  void encode(std::span<const float> g, const EncodeContext& context, RandomStream& /*random*/,
              std::span<std::byte> message) const override {
    const auto gamma = static_cast<float>(context.learning_rate);
    const std::span<float> e = context.memory;
    if (gamma == 0 || g.empty()) {
      put_scale(0, message);
      return put_signs(g, message.subspan(sizeof(float)));
    }
    double norm = 0;
    for (std::size_t i = 0; i < g.size(); ++i) {
      e[i] += gamma * g[i];  // p
      norm += std::abs(static_cast<double>(e[i]));
    }
    const auto delta = static_cast<float>(norm / static_cast<double>(g.size()));
    put_scale(delta / gamma, message);
    put_signs(e, message.subspan(sizeof(float)));
    for (float& p : e) p -= p < 0 ? -delta : delta;
  }
  void decode(std::span<const std::byte> message, std::span<float> g) const override {
    get_signs(message.subspan(sizeof(float)), get_scale(message), g);
  }
};

}  // namespace

GradientMethod read_ef_sign_sgd(spec::Reader& /*keys*/) {
  return {.exchanged = [] { return std::make_unique<EfSignSgd>(); }, .is_step = true};
}

}  // namespace qtrain::quant::gradients
