// Alternating multi-bit quantization: Xu, Yao, Lin, Ou, Cao, Wang, Zha, "Alternating Multi-bit Quantization
// for Recurrent Neural Networks", ICLR 2018 (arXiv:1802.00150), as used in Bai, Wang, Liberty, "ProxQuant:
// Quantized Neural Networks via Proximal Operators", ICLR 2019 (arXiv:1810.00861).
//
//   w = factor (alpha_1 b_1 + ... + alpha_k b_k)    b_i in {-1, +1}^n, k = bits
//   start:       r = u;  for each i: b_i = sign(r), alpha_i = mean |r|, r = r - alpha_i b_i
//   refinement:  alpha = (B^T B)^-1 B^T u;  B = nearest of the 2^k sums to each weight
//   gu = gw                                         straight through
//
// scale: channel   alpha of each output channel: the rows of an LSTM's or a linear layer's matrix, as in the
//                  papers; for the filters of a convolution our choice
//        tensor    alpha of the whole tensor
// factor: 0.3 is what ProxQuant's authors give their baseline; the method itself has 1
//
// sign(0) = sign(-0) = +1, where the authors' code draws the sign; a weight halfway between two sums takes
// the greater. Where B^T B is singular, a b_i that those before make up gets alpha_i = 0. Weights that are
// all 0 stay 0. Only for k = 1 are weights integers times one scale.
#include "quant/alternating_codes.hpp"
#include "quant/weight_groups.hpp"

namespace qtrain::quant::weights {
namespace {

struct Options {
  int bits = 2;
  int refinements = 2;
  std::string scale = "channel";
  double factor = 1;
};

class Alternating final : public WeightMethod {
 public:
  Alternating(const WeightTensor& tensor, const Options& options)
      : groups_(tensor, options.scale), options_(options) {}

  void used(std::span<const float> u, const WeightContext&, std::span<float> w) override {
    for (std::size_t group = 0; group < groups_.count; ++group)
      alternating(groups_.of(u, group), options_.bits, options_.refinements, groups_.of(w, group));
    const auto factor = static_cast<float>(options_.factor);
    if (factor != 1)
      for (float& value : w) value *= factor;
  }
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    return options_.bits == 1 && groups_.codes(w, codes, scales);
  }
  std::size_t scale_count() const override { return groups_.count; }
  std::optional<CodeRange> code_range() const override {
    return options_.bits == 1 ? std::optional(CodeRange{-1, 1, 2}) : std::nullopt;
  }
  int bits() const override { return options_.bits; }

 private:
  WeightGroups groups_;
  Options options_;
};

}  // namespace

WeightFactory read_alternating(spec::Reader& keys) {
  Options options;
  keys.field("bits", options.bits, spec::between(1, kMostAlternatingBits), "k, terms in a weight's sum");
  keys.field("refinements", options.refinements, spec::between(0, 100), "rounds after the greedy start");
  read_scale(keys, options.scale);
  keys.field("factor", options.factor, spec::positive, "times the quantized weights");
  return [options](const WeightTensor& tensor) { return std::make_unique<Alternating>(tensor, options); };
}

}  // namespace qtrain::quant::weights
