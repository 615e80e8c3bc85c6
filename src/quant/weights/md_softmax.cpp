// MD-softmax, the exponentiated gradient: Ajanthan, Gupta, Torr, Hartley, Dokania, "Mirror Descent View for
// Neural Network Quantization", AISTATS 2021 (arXiv:1910.08237). Each weight is a mean of the levels q_l with
// shares u_l. D_l is the optimizer's direction for dL/du_l = q_l gw, eta its rate.
//
//   w = sum_l q_l u_l
//   u_l = u_l exp(-beta eta D_l), divided by the sum over l
//   beta(k) = min(beta_start rho^ceil(k / I), beta_limit) at step k = 0, 1, ...
//   levels: binary q = -1, 1 (then md_tanh); ternary q = -1, 0, 1
//
// Shares vanish in float; stored instead, one latent a level, are
//   t_l = log(u_l) / beta + any constant      u = softmax(beta t)      gt_l = q_l gw
//   after step k: t = beta(k) / beta(k + 1) t
// the same iteration, for the rescaling keeps u while beta changes (md_softmax_s keeps t). final: the q_l of
// the largest t_l; a tie goes to 0, then to +1. t_l starts at q_l w0, w0 the initial
// weight, so that binary weights start at tanh(beta_start w0); of ternary levels at q_l w0 - q_l^2 / 2, so
// that level 0 can win (as in md_softmax_s). (The authors' code starts from the softmax of random numbers.)
// rho and I default to the authors' code's values for ResNet-18 on CIFAR-10.
#include "quant/simplex.hpp"

namespace qtrain::quant::weights {
namespace {

class MdSoftmax final : public SimplexMethod {
 public:
  using SimplexMethod::SimplexMethod;

  LatentKind latent_kind() const override {
    return annealing_.grows() ? LatentKind::rescaled : LatentKind::dual;
  }
  void settled(std::span<float> t, const WeightContext& context) override {
    annealing_.keep_projection(t, context.step);
  }
  void carried(std::span<const float> t, const WeightContext& context, std::span<float> w) const override {
    SimplexMethod::carried(t, context, w);
    annealing_.restart(w, context.step);
  }
};

}  // namespace

WeightFactory read_md_softmax(spec::Reader& keys) {
  const UnitLevels levels = read_unit_levels(keys);
  Annealing annealing;
  annealing.read(keys);
  return [=](const WeightTensor&) { return std::make_unique<MdSoftmax>(levels, annealing); };
}

}  // namespace qtrain::quant::weights
