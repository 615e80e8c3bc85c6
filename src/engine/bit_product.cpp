#include "engine/bit_product.hpp"

namespace qtrain::engine {

void pack(const RunContext& context, const BitProduct& product, std::size_t n) {
  const kernels::ConvolutionGeometry& g = product.convolution->geometry();
  const std::byte* src =
      context.raw(product.src.tensor) + n * g.height * g.width * g.channels * size_of(product.src.storage);
  auto* planes = reinterpret_cast<unsigned char*>(context.raw(product.planes));
  if (product.src.storage == Storage::float32)
    product.convolution->pack(reinterpret_cast<const float*>(src), 1, planes);
  else
    product.convolution->pack(reinterpret_cast<const unsigned char*>(src), 1, planes);
}

namespace {

class BitProductStep final : public Step {
 public:
  BitProductStep(const std::string& name, StepKind kind, const BitProduct& product, const Stored& dst)
      : Step(name, kind, {product.src.tensor, product.planes}, {dst.tensor}), product_(product), dst_(dst) {}
  void run(const RunContext& context) const override {
    const kernels::BitConvolution& convolution = *product_.convolution;
    const kernels::ConvolutionGeometry& g = convolution.geometry();
    const auto* planes = reinterpret_cast<const unsigned char*>(context.raw(product_.planes));
    std::byte* dst = context.raw(dst_.tensor);
    for (std::size_t n = 0; n < product_.images; ++n) {
      pack(context, product_, n);
      if (dst_.storage == Storage::float32)
        convolution.run(planes, 1, reinterpret_cast<float*>(dst));
      else
        convolution.run(planes, 1, reinterpret_cast<short*>(dst));
      dst += g.out_height() * g.out_width() * g.outputs * size_of(dst_.storage);
    }
  }

 private:
  BitProduct product_;
  Stored dst_;
};

}  // namespace

std::unique_ptr<Step> bit_product_step(const std::string& name, StepKind kind, const BitProduct& product,
                                       const Stored& dst) {
  return std::make_unique<BitProductStep>(name, kind, product, dst);
}

}  // namespace qtrain::engine
