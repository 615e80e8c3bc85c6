// One weight on a loss of one dimension, under any weight method: the counterexamples of Bai, Wang, Liberty,
// "ProxQuant: Quantized Neural Networks via Proximal Operators", ICLR 2019 (arXiv:1810.00861), section 5.
//
//   loss: absolute    L(w) = a |w - c|             L' = 0 at the kink
//   loss: quadratic   L(w) = a (w - c)^2 / 2
//   loss: w_shape     L(w) = a min(|w - c|, |w + c|)     the left branch where w < 0; L' = 0 at the kinks
//   w = Q(u), u = S(u - rate Q'^T L'(w))           Q and S the weight method's; a: slope, c: center
//
// A row is the state before a step: u, w, L(w). sign_changes counts the steps in which w took another sign
// (0 counts as +), settled says that the second half of the steps saw none. mean_w is over all steps; u and w
// are those after the last, quantized the exactly quantized w.
//
// Under binary_connect, |w - c| - 1/2 for c = -1/2 and 1/2 give the same iterates, though their best signs
// differ, and signs never settle; prox_quant finds both. On w^2 / 2 the iterates of lazy_prox end in a cycle
// of two, +-lambda rate / (2 - rate), where those of prox_quant converge to lambda. On a quadratic the mean w
// of binary_connect is c - (u_T - u_0) / (rate T).
//
// weights takes the keys of quantize.weights, a step being an epoch.
#include <algorithm>
#include <cmath>
#include <utility>

#include "labs/lab.hpp"
#include "labs/latent_weights.hpp"

namespace qtrain::labs {
namespace {

struct Options {
  std::string loss = "quadratic";
  double slope = 1;
  std::vector<double> centers = {0};
  std::vector<double> starts = {0.1};
  quant::WeightSpec weights;
  double learning_rate = 0.1;
  int steps = 1000;
  LogSteps log;
};

double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

/// L and L' at w.
struct Loss {
  double value, derivative;
};
using LossAt = Loss (*)(double w, double center);

Loss absolute(double w, double c) { return {std::abs(w - c), sign(w - c)}; }
Loss quadratic(double w, double c) { return {(w - c) * (w - c) / 2, w - c}; }
Loss w_shape(double w, double c) { return absolute(w, w < 0 ? -std::abs(c) : std::abs(c)); }

class Scalar final : public Lab {
 public:
  explicit Scalar(Options options)
      : options_(std::move(options)),
        loss_(options_.loss == "absolute"    ? absolute
              : options_.loss == "quadratic" ? quadratic
                                             : w_shape) {}

  std::vector<Json> cases() const override {
    std::vector<Json> list;
    for (const double center : options_.centers)
      for (const double start : options_.starts) list.push_back({{"center", center}, {"start", start}});
    return list;
  }

  LabRun run(std::size_t index, std::uint64_t seed, const Watch& watch) const override {
    const double center = options_.centers[index / options_.starts.size()];
    const auto start = static_cast<float>(options_.starts[index % options_.starts.size()]);
    LatentWeights weights(options_.weights, {&start, 1});
    LabRun run;
    double sum = 0;
    bool positive = false;
    int changes = 0, last_change = 0;
    for (int step = 0;; ++step) {
      watch();
      const quant::WeightContext context = context_of(step, seed);
      const double w = static_cast<double>(weights.used(context)[0]);
      const Loss loss = loss_(w, center);
      if (step > 0 && positive != (w >= 0)) {
        ++changes;
        last_change = step;
      }
      positive = w >= 0;
      const bool ends = step == options_.steps || !std::isfinite(w);
      const auto u = static_cast<double>(weights.latents()[0]);
      if (ends || options_.log.contains(step))
        run.rows.push_back({{"step", step}, {"u", u}, {"w", w}, {"loss", options_.slope * loss.value}});
      if (ends) {
        const auto quantized = static_cast<double>(weights.final(context)[0]);
        run.result = {{"u", u},
                      {"w", w},
                      {"quantized", quantized},
                      {"quantized_loss", options_.slope * loss_(quantized, center).value},
                      {"mean_w", step > 0 ? Json(sum / step) : Json()},
                      {"sign_changes", changes},
                      {"settled", 2 * last_change <= step}};
        return run;
      }
      sum += w;
      weights.gradient()[0] = static_cast<float>(options_.slope * loss.derivative);
      const auto rate = static_cast<float>(options_.learning_rate);
      const std::span<float> g = weights.latent_gradient(context);
      for (std::size_t i = 0; i < g.size(); ++i) weights.latents()[i] -= rate * g[i];
      weights.settle(context);
    }
  }

 private:
  quant::WeightContext context_of(std::int64_t step, std::uint64_t seed) const {
    quant::WeightContext context;
    context.seed = seed;
    context.step = step;
    context.epochs = options_.steps;
    context.learning_rate = options_.learning_rate;
    context.base_learning_rate = options_.learning_rate;
    return context;
  }

  Options options_;
  LossAt loss_;
};

}  // namespace

namespace problems {

std::unique_ptr<Lab> read_scalar(spec::Reader& keys) {
  Options options;
  options.weights.method = "binary_connect";
  keys.choice("loss", options.loss, {"absolute", "quadratic", "w_shape"}, "the loss of w");
  keys.field("slope", options.slope, spec::positive, "a, the factor on the loss");
  keys.field("centers", options.centers, spec::any_number, "values of c, each run by itself");
  keys.field("starts", options.starts, spec::any_number, "initial weights, each run by itself");
  for (const auto& [key, list] : {std::pair{"centers", &options.centers}, {"starts", &options.starts}})
    if (list->empty()) keys.mistake(key, "is empty, must hold at least one number");
  read_weights(keys, options.weights);
  keys.field("learning_rate", options.learning_rate, spec::positive, "rate of a step");
  keys.field("steps", options.steps, spec::between(0, 100'000'000), "steps of gradient descent");
  options.log.read(keys);
  return std::make_unique<Scalar>(std::move(options));
}

}  // namespace problems
}  // namespace qtrain::labs
