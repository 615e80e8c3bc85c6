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

namespace qtrain::quant::weights {

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
    return std::make_unique<ScaledSignMethod>(WeightGroups(tensor, scale), rule);
  };
}

}  // namespace qtrain::quant::weights
