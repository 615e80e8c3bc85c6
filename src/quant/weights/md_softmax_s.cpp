// MD-softmax-S, the numerically stable form of MD-softmax: Ajanthan, Gupta, Torr, Hartley, Dokania, "Mirror
// Descent View for Neural Network Quantization", AISTATS 2021 (arXiv:1910.08237). Each weight is a mean of
// the levels q_l; the dual t of its shares u_l is stored, one latent a level.
//
//   u_l = exp(beta t_l) / sum_m exp(beta t_m)      w = sum_l q_l u_l
//   gt_l = dL/du_l = q_l gw                        straight through: the step of mirror descent, on the dual
//   final: the q_l of the largest t_l; a tie goes to 0, then to +1
//   beta(k) = min(beta_start rho^ceil(k / I), beta_limit) at step k = 0, 1, ...
//   levels: binary q = -1, 1 (then md_tanh_s with u = (t_2 - t_1) / 2); ternary q = -1, 0, 1
//
// t_l starts at q_l w0 of the initial weight w0, so that binary weights start at tanh(beta_start w0); of
// ternary levels at q_l w0 - q_l^2 / 2, so that the level nearest to w0 is final, as in md_tanh_s: gt moves
// the outer two against each other alone, and from q_l w0 level 0 could never win. (The authors' code draws
// each t_l at random.) The exponent is
// taken of t_l - max t, so any t and beta up to 1e35 are safe. rho and I default to the authors' code's
// values for ResNet-18 on CIFAR-10.
#include "quant/simplex.hpp"

namespace qtrain::quant::weights {

WeightFactory read_md_softmax_s(spec::Reader& keys) {
  const UnitLevels levels = read_unit_levels(keys);
  Annealing annealing;
  annealing.read(keys);
  return [=](const WeightTensor&) { return std::make_unique<SimplexMethod>(levels, annealing); };
}

}  // namespace qtrain::quant::weights
