// ProxQuant: Quantized Neural Networks via Proximal Operators, Bai, Wang, Liberty, ICLR 2019
// (arXiv:1810.00861), Algorithm 1. The network runs on the latent weights; the prox of the distance R to the
// quantized points draws them there.
//
//   w  = u                                 gu = gw
//   u  = prox_{kappa R}(u), then into [-clip, clip]     after each step; kappa = learning rate * lambda
//   w* = q(u)                              the hard-quantized network
//   lambda = rate t     t counts epochs from 0, as the authors' code does (homotopy: epoch), or steps, as the
//                       paper's index may be read (homotopy: step); or stays 1, as in its theorems (constant)
//
// levels: binary {-1, +1}, s = sign(u), q(u) = s
//   regularizer l1   prox = s + sign(u - s) max(|u - s| - kappa, 0)
//   regularizer l2   prox = (u + kappa s) / (1 + kappa)
// levels: ternary {-a, 0, b} for the whole tensor, D = 0.7 mean |u|
//   q(u) = b where u >= D, b the mean of those; -a where u <= -D, -a their mean; else 0
// levels: multi_bit, q(u) = B alpha with B in {-1, +1}, `bits` scales alpha for each output channel (row), by
//   greedy start and two alternations of least squares for alpha and nearest levels for B
// ternary and multi_bit: x = u, then `rounds` times x = (u + kappa q(x)) / (1 + kappa); prox = x. The paper
//   does 2 rounds, the authors' code 1.
// convention: the paper has 2 kappa for kappa there (R is a square without a half), the authors' code kappa;
//   once is kappa (the default), twice 2 kappa, in all squared forms, l2 of binary included.
// adjust_rate: lambda times the base learning rate / the learning rate, as a flag of the authors' code does.
// freeze_epoch: when so many epochs are done u becomes q(u) and stays so, with zero gradient; 0: never. The
//   authors' code freezes at epoch 200 of 300.
//
// sign(0) = sign(-0) = +1 (authors' code: 0, so that a 0 stays 0). A tensor of zeros: ternary and multi_bit
// levels are 0. With 3 and 4 bits q(q(u)) may differ from q(u): the greedy start need not find B again. l1
// has no quantized point in its prox, so convention does not touch it. The authors' code makes a new
// optimizer each epoch: train.optimizer.restart_epochs: 1.
#include <algorithm>

#include "quant/quantization_prox.hpp"

namespace qtrain::quant::weights {
namespace {

struct Options {
  ProxOptions prox;
  bool adjust_rate = false;
  int freeze_epoch = 0;
};

class ProxQuant final : public WeightMethod {
 public:
  ProxQuant(const Options& options, const WeightTensor& tensor)
      : options_(options), prox_(options.prox, tensor) {
    if (options.freeze_epoch > 0) kept_.resize(element_count(tensor.shape));
  }

  void used(std::span<const float> u, const WeightContext& context, std::span<float> w) override {
    if (u.data() != w.data()) std::ranges::copy(u, w.begin());
    if (!context.evaluation && frozen(context, context.step)) std::ranges::copy(u, kept_.begin());
  }
  void pulled(std::span<const float> u, std::span<const float> w, std::span<const float> gw,
              const WeightContext& context, std::span<float> gu) override {
    if (frozen(context, context.step))
      std::ranges::fill(gu, 0.0F);
    else
      WeightMethod::pulled(u, w, gw, context, gu);
  }
  void settled(std::span<float> u, const WeightContext& context) override {
    if (frozen(context, context.step)) {
      std::ranges::copy(kept_, u.begin());  // momentum and weight decay may have moved it
      return;
    }
    const double rate = options_.adjust_rate ? context.base_learning_rate : context.learning_rate;
    prox_.prox(u, rate * options_.prox.lambda(context));
    options_.prox.clip_to_box(u);
    if (frozen(context, context.step + 1)) prox_.quantize(u, u);
  }
  void final(std::span<const float> u, const WeightContext& context, std::span<float> w) override {
    if (frozen(context, context.step) && prox_.is_quantized(u))
      std::ranges::copy(u, w.begin());
    else
      prox_.quantize(u, w);  // before the freeze, and of an average over it
  }
  std::size_t scale_count() const override { return prox_.groups(); }
  int bits() const override { return prox_.bits(); }

 private:
  bool frozen(const WeightContext& context, std::int64_t step) const {
    return options_.freeze_epoch > 0 && step >= options_.freeze_epoch * context.steps_per_epoch;
  }

  Options options_;
  QuantizationProx prox_;
  std::vector<float> kept_;  // u before the step, once frozen
};

}  // namespace

WeightFactory read_prox_quant(spec::Reader& keys) {
  Options options;
  options.prox.read(keys);
  keys.field("adjust_rate", options.adjust_rate, "kappa from the learning rate before the schedule's factor");
  keys.field("freeze_epoch", options.freeze_epoch, spec::non_negative,
             "epochs after which weights are quantized for good; 0: never");
  return [options](const WeightTensor& tensor) { return std::make_unique<ProxQuant>(options, tensor); };
}

}  // namespace qtrain::quant::weights
