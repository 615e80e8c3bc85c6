// BinaryRelax: A Relaxation Approach For Training Deep Neural Networks With Quantized Weights, Yin, Zhang,
// Lyu, Osher, Qi, Xin, SIAM J. Imaging Sciences 2018 (arXiv:1801.06313).
//
//   phase 1   w = (lambda Q(u) + u) / (1 + lambda)     lambda = start * growth^epoch, epochs from 0
//   phase 2   w = Q(u)                                 once relax_epochs epochs are done; 0: never
//   gu = gw                                            straight through, no clip
//   w* = Q(u)
//
// levels: binary    Q(u) = a sign(u), a = mean |u|
// levels: ternary   Q(u) = a sign(u) where |u| > D, else 0; D = 0.7 mean |u|, a the mean of those |u|
// scale: one a (and D) for the tensor, or one for each output channel
// mean_over: selected, as above, or all: the ternary a is their sum divided by the number of all weights, as
//   in the authors' code
//
// The authors' code multiplies lambda by growth before the first epoch too (start = growth there is the
// same), and relaxes for 150 of 200 epochs. sign(0) = sign(-0) = +1; a tensor of zeros stays zero; an
// infinite lambda gives Q(u).
#include "quant/projections.hpp"
#include "quant/scaled_sign.hpp"
#include "quant/weight_groups.hpp"

namespace qtrain::quant::weights {
namespace {

struct Options {
  std::string levels = "binary";
  double start = 1;
  double growth = 1.04;
  int relax_epochs = 0;
  std::string scale = "tensor";
  std::string mean_over = "selected";
};

class BinaryRelax final : public WeightMethod {
 public:
  BinaryRelax(const Options& options, const WeightTensor& tensor)
      : options_(options), groups_(tensor, options.scale) {}

  void used(std::span<const float> u, const WeightContext& context, std::span<float> w) override {
    project(u, w);
    const std::int64_t epoch = context.epoch();
    if (options_.relax_epochs > 0 && epoch >= options_.relax_epochs) return;
    double lambda = options_.start;
    for (std::int64_t i = 0; i < epoch; ++i) lambda *= options_.growth;
    for (std::size_t i = 0; i < u.size(); ++i) w[i] = prox_l2(u[i], w[i], lambda);
  }
  void final(std::span<const float> u, const WeightContext&, std::span<float> w) override { project(u, w); }

  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    return groups_.codes(w, codes, scales);
  }
  std::size_t scale_count() const override { return groups_.count; }
  int bits() const override { return options_.levels == "binary" ? 1 : 2; }

 private:
  void project(std::span<const float> u, std::span<float> w) const {
    for (std::size_t group = 0; group < groups_.count; ++group) {
      if (options_.levels == "binary")
        scaled_sign(groups_.of(u, group), groups_.of(w, group));
      else
        ternary_projection(groups_.of(u, group), groups_.of(w, group), options_.mean_over == "all");
    }
  }

  Options options_;
  WeightGroups groups_;
};

}  // namespace

WeightFactory read_binary_relax(spec::Reader& keys) {
  Options options;
  keys.choice("levels", options.levels, {"binary", "ternary"}, "the quantized weights");
  keys.field("start", options.start, spec::non_negative, "lambda in the first epoch");
  keys.field("growth", options.growth, spec::at_least(1), "lambda's factor from epoch to epoch");
  keys.field("relax_epochs", options.relax_epochs, spec::non_negative,
             "epochs before weights are projected fully; 0: never");
  read_scale(keys, options.scale);
  keys.choice("mean_over", options.mean_over, {"selected", "all"},
              "what the sum of a ternary scale is divided by the number of");
  if (options.levels == "binary" && options.mean_over != "selected")
    keys.mistake("mean_over", "is all, must be selected with levels binary, whose mean is over all anyway");
  return [options](const WeightTensor& tensor) { return std::make_unique<BinaryRelax>(options, tensor); };
}

}  // namespace qtrain::quant::weights
