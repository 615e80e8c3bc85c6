// Binary-Weight-Network: Rastegari, Ordonez, Redmon, Farhadi, "XNOR-Net: ImageNet Classification Using Binary
// Convolutional Neural Networks", ECCV 2016 (arXiv:1603.05279), section 3.1.
//
//   w = alpha sign(u)    alpha = mean |u|
//
// scale:    channel            alpha of each output channel, as in the paper
//           tensor             alpha of the whole tensor
// gradient: straight_through   gu_i = gw_i
//           paper              gu_i = gw_i (1/n + alpha 1{|u_i| < 1})    n: weights that share alpha
//           exact              gu_i = sign(u_i)/n sum_j gw_j sign(u_j) + alpha gw_i 1{|u_i| <= 1}
//                              that is the chain rule with all its terms
//
// sign(0) = sign(-0) = +1. Weights that are all 0 have alpha = 0 and stay 0. No clip and no centring of u:
// see xnor.
#include <map>

#include "quant/scaled_sign.hpp"
#include "quant/weight_groups.hpp"

namespace qtrain::quant::weights {
namespace {

class Bwn final : public WeightMethod {
 public:
  Bwn(const WeightGroups& groups, ScaledSignGradient gradient) : groups_(groups), gradient_(gradient) {}

  void used(std::span<const float> u, const WeightContext&, std::span<float> w) override {
    for (std::size_t group = 0; group < groups_.count; ++group)
      scaled_sign(groups_.of(u, group), groups_.of(w, group));
  }
  void pulled(std::span<const float> u, std::span<const float>, std::span<const float> gw,
              const WeightContext&, std::span<float> gu) override {
    for (std::size_t group = 0; group < groups_.count; ++group)
      scaled_sign_gradient(gradient_, groups_.of(u, group), groups_.of(gw, group), groups_.of(gu, group));
  }
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    return groups_.codes(w, codes, scales);
  }
  std::size_t scale_count() const override { return groups_.count; }
  std::optional<CodeRange> code_range() const override { return CodeRange{-1, 1}; }
  int bits() const override { return 1; }

 private:
  WeightGroups groups_;
  ScaledSignGradient gradient_;
};

}  // namespace

WeightFactory read_bwn(spec::Reader& keys) {
  std::string scale = "channel";
  std::string gradient = "straight_through";
  read_scale(keys, scale);
  keys.choice("gradient", gradient, {"straight_through", "paper", "exact"}, "what stands for dw/du");
  const std::map<std::string, ScaledSignGradient> rules = {
      {"straight_through", ScaledSignGradient::straight_through},
      {"paper", ScaledSignGradient::paper},
      {"exact", ScaledSignGradient::exact}};
  return [scale, rule = rules.at(gradient)](const WeightTensor& tensor) {
    return std::make_unique<Bwn>(WeightGroups(tensor, scale), rule);
  };
}

}  // namespace qtrain::quant::weights
