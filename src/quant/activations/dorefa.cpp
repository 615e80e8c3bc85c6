// DoReFa activations: Zhou, Wu, Ni, Zhou, Wen, Zou, "DoReFa-Net: Training Low Bitwidth Convolutional Neural
// Networks with Low Bitwidth Gradients", 2016 (arXiv:1606.06160).
//
//   y = round(L min(max(x, 0), 1)) / L    L = 2^bits - 1, half way to the even integer
//
// The paper's derivative is 1 inside [0, 1]: ste clipped_relu, which leaves out x = 0.
#include "quant/activation.hpp"
#include "quant/activation_pairs.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::activations {
namespace {

class Dorefa final : public ActivationQuantizer {
 public:
  explicit Dorefa(int bits) : top_((1 << bits) - 1) {}

  void forward(std::span<const float> x, std::span<float> codes) const override {
    const auto top = static_cast<float>(top_);
    map_blocks(x, codes, [=](float value) { return nearest_code(value * top, top); });
  }
  float scale() const override { return 1.0F / static_cast<float>(top_); }
  ActivationRange range() const override { return {.low = 0, .high = 1}; }
  int lowest_code() const override { return 0; }
  int highest_code() const override { return top_; }

 private:
  int top_;
};

}  // namespace

ActivationFactory read_dorefa(spec::Reader& /*keys*/, int bits) {
  return [bits](const ActivationTensor&) { return std::make_unique<Dorefa>(bits); };
}

std::string refuses_dorefa(const std::string& ste) { return refuses_two_sided("dorefa", ste); }

}  // namespace qtrain::quant::activations
