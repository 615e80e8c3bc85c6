// MD-tanh-S, the numerically stable form of MD-tanh: Ajanthan, Gupta, Torr, Hartley, Dokania, "Mirror Descent
// View for Neural Network Quantization", AISTATS 2021 (arXiv:1910.08237). The dual variable is stored.
//
//   levels: binary    w = tanh(beta u)
//   levels: ternary   w = (tanh(beta (u + 1/2)) + tanh(beta (u - 1/2))) / 2           shifted tanh
//   gu = gw           straight through: the step of mirror descent, taken on the dual
//   final             binary sign(u), sign(0) = +1; ternary 0 if -1/2 < u < 1/2, else sign(u)
//   beta(k)           min(beta_start rho^ceil(k / I), beta_limit) at step k = 0, 1, ...
//
// u starts at the initial weights. A change of beta moves all w; md_tanh keeps them. As beta grows, w =
// sign(u) except at u = 0, where the used w stays 0. rho and I default to the authors' code's values for
// ResNet-18 on CIFAR-10.
#include "quant/tanh_projection.hpp"

namespace qtrain::quant::weights {

WeightFactory read_md_tanh_s(spec::Reader& keys) {
  const UnitLevels levels = read_unit_levels(keys);
  Annealing annealing;
  annealing.read(keys);
  return [=](const WeightTensor&) { return std::make_unique<TanhProjection>(levels, annealing); };
}

}  // namespace qtrain::quant::weights
