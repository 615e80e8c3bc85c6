// Lazy proximal gradient (dual averaging): Bai, Wang, Liberty, "ProxQuant: Quantized Neural Networks via
// Proximal Operators", ICLR 2019 (arXiv:1810.00861), section 5: the straight-through method that ProxQuant is
// compared with. The prox is taken in the forward pass and never stored.
//
//   w  = prox_{lambda R}(u)                gu = gw, straight through
//   u  = min(max(u, -clip), clip)          after each step
//   w* = q(u)                              the hard-quantized network
//   lambda = rate t     t counts epochs or steps from 0, or is constantly 1 (homotopy); no learning rate in
//   it
//
// R, q, levels, regularizer, convention and rounds are those of prox_quant. With l1, lambda >= 1 and clip 1
// it is BinaryConnect. sign(0) = sign(-0) = +1.
#include <algorithm>

#include "quant/quantization_prox.hpp"

namespace qtrain::quant::weights {
namespace {

class LazyProx final : public WeightMethod {
 public:
  LazyProx(const ProxOptions& options, const WeightTensor& tensor)
      : options_(options), prox_(options, tensor) {}

  void used(std::span<const float> u, const WeightContext& context, std::span<float> w) override {
    if (u.data() != w.data()) std::ranges::copy(u, w.begin());
    prox_.prox(w, options_.lambda(context));
  }
  void settled(std::span<float> u, const WeightContext&) override { options_.clip_to_box(u); }
  void final(std::span<const float> u, const WeightContext&, std::span<float> w) override {
    prox_.quantize(u, w);
  }
  std::size_t scale_count() const override { return prox_.groups(); }
  int bits() const override { return prox_.bits(); }

 private:
  ProxOptions options_;
  QuantizationProx prox_;
};

}  // namespace

WeightFactory read_lazy_prox(spec::Reader& keys) {
  ProxOptions options;
  options.read(keys);
  return [options](const WeightTensor& tensor) { return std::make_unique<LazyProx>(options, tensor); };
}

}  // namespace qtrain::quant::weights
