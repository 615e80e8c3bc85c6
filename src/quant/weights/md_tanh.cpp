// MD-tanh, mirror descent on the weights themselves: Ajanthan, Gupta, Torr, Hartley, Dokania, "Mirror Descent
// View for Neural Network Quantization", AISTATS 2021 (arXiv:1910.08237). D is the optimizer's direction for
// the gradient gw (gw itself under plain SGD, m / sqrt(v) under Adam), eta its rate.
//
//   r = (1 + w) / (1 - w) exp(-2 beta eta D)
//   w = (r - 1) / (r + 1)                        that is, artanh(w) decreases by beta eta D
//   beta(k) = min(beta_start rho^ceil(k / I), beta_limit) at step k = 0, 1, ...
//
// In float that form is stuck at w = +-1, and overflows for large beta. Stored instead is
//   u = artanh(w) / beta      w = tanh(beta u)      gu = gw      after step k: u = beta(k) / beta(k + 1) u
// the same iteration, for the rescaling keeps w while beta changes (md_tanh_s keeps u; at constant beta the
// two are one). The weights start at tanh(beta_start initial weights), in the authors' code, where beta_start
// is 1, at tanh of them. final = sign(u), sign(0) = +1. Binary only: the shifted tanh of ternary levels has
// no inverse in closed form. rho and I default to the authors' code's values for ResNet-18 on CIFAR-10.
#include "quant/tanh_projection.hpp"

namespace qtrain::quant::weights {
namespace {

class MdTanh final : public TanhProjection {
 public:
  explicit MdTanh(const Annealing& annealing) : TanhProjection(UnitLevels::binary, annealing) {}

  LatentKind latent_kind() const override {
    return annealing_.grows() ? LatentKind::rescaled : LatentKind::dual;
  }
  void settled(std::span<float> u, const WeightContext& context) override {
    annealing_.keep_projection(u, context.step);
  }
  void carried(std::span<const float> u, const WeightContext& context, std::span<float> w) const override {
    TanhProjection::carried(u, context, w);
    annealing_.restart(w, context.step);
  }
};

}  // namespace

WeightFactory read_md_tanh(spec::Reader& keys) {
  if (read_unit_levels(keys) == UnitLevels::ternary)
    keys.mistake("levels",
                 "is ternary, must be binary: the shifted tanh has no inverse in closed form; md_tanh_s and "
                 "md_softmax take ternary");
  Annealing annealing{.growth = 1.01, .interval = 100};
  annealing.read(keys);
  return [=](const WeightTensor&) { return std::make_unique<MdTanh>(annealing); };
}

}  // namespace qtrain::quant::weights
