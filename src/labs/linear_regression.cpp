// Linear regression with quantized weights and gradients: the synthetic experiment (figure 2a) of Hou, Zhang,
// Kwok, "Analysis of Quantized Models", ICLR 2019.
//
//   w*_i ~ U[-1/2, 1/2], i = 1..d      x_i ~ U[-1/2, 1/2], y = x^T w* + N(0, noise^2)
//   f_t = |X w - y|^2 / (2 B)          a fresh batch of B at every step t, at the quantized weights w
//   g   = decode(encode(X^T (X w - y) / B))
//   u   = optimizer(u, g), then into [-w_clip, w_clip], then the weight method's own step; w = Q(u)
//   E f = noise^2 / 2 + |w - w*|^2 / 24
//
// A row holds T, the average loss sum_{t <= T} f_t / T (what the figure shows against T for each d) and E f
// at T. loss and population_loss are means of f_t and E f over the last tenth of the steps. floor: the least
// E f of any weights alpha b for this w*, b integers up to the largest code of the weight method: no run
// averages below it, and where its codes have gaps none need come near. A
// run ends after `steps`, or when the average loss has not fallen for `patience` of them.
//
// weights, gradients, optimizer and schedule take the keys of quantize.weights, quantize.gradients,
// train.optimizer and train.schedule; the defaults are the paper's LAB weights, float gradients, and RMSProp
// with rate 0.03 / sqrt(t). Ours: u starts at 0, RMSProp's decay, the values of d, w_clip 0 (the weights of
// lab and laq are kept in [-1, 1] by their own clip).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/random.hpp"
#include "labs/lab.hpp"
#include "labs/latent_weights.hpp"
#include "labs/regression_problem.hpp"
#include "labs/scale_floor.hpp"
#include "optim/optimizer.hpp"
#include "quant/gradient.hpp"

namespace qtrain::labs {
namespace {

struct Options {
  std::vector<int> dimensions = {16, 64, 256};
  double noise = 0.2;
  int batch_size = 64;
  int steps = 30'000;
  int patience = 5000;
  double w_clip = 0;
  quant::WeightSpec weights;
  quant::GradientSpec gradients;
  optim::OptimizerSpec optimizer;
  optim::ScheduleSpec schedule;
  LogSteps log;
};

/// Sends a gradient through its packed message and back.
class Wire {
 public:
  Wire(const quant::GradientSpec& spec, std::size_t size) : clip_(spec.clip) {
    if (!spec.make.exchanged) return;
    quantizer_ = spec.make.exchanged();
    message_.resize(quantizer_->message_bytes(size));
    memory_.resize(quantizer_->memory_size(size));
  }
  void send(std::span<float> g, double learning_rate, RandomStream random) {
    if (!quantizer_) return;
    quant::clip_gradient(clip_, g);
    const quant::EncodeContext context = {
        .scale = quantizer_->scale(g), .learning_rate = learning_rate, .memory = memory_};
    quantizer_->encode(g, context, random, message_);
    quantizer_->decode(message_, g);
    quantizer_->combine(g, 1);
  }

 private:
  double clip_;
  std::unique_ptr<quant::GradientQuantizer> quantizer_;
  std::vector<std::byte> message_;
  std::vector<float> memory_;
};

double mean_of_last_tenth(const std::vector<double>& values) {
  const std::size_t count = (values.size() + 9) / 10;
  double sum = 0;
  for (std::size_t i = values.size() - count; i < values.size(); ++i) sum += values[i];
  return sum / static_cast<double>(count);
}

/// The optimizer's arrays for d values.
struct OptimizerState {
  OptimizerState(const optim::Optimizer& rule, std::size_t d)
      : arrays(rule.slot_names().size(), std::vector<float>(d)), slots(arrays.begin(), arrays.end()) {}
  std::vector<std::vector<float>> arrays;
  std::vector<std::span<float>> slots;
};

class LinearRegression final : public Lab {
 public:
  explicit LinearRegression(Options options) : options_(std::move(options)) {}

  std::vector<Json> cases() const override {
    std::vector<Json> list;
    for (const int d : options_.dimensions) list.push_back({{"d", d}});
    return list;
  }

  LabRun run(std::size_t index, std::uint64_t seed, const Watch& watch) const override {
    const auto d = static_cast<std::size_t>(options_.dimensions[index]);
    RegressionProblem problem(d, static_cast<std::size_t>(options_.batch_size), options_.noise, seed);
    LatentWeights weights(options_.weights, std::vector<float>(d));
    OptimizerState state(*options_.optimizer.rule, weights.latents().size());
    Wire wire(options_.gradients, weights.latents().size());
    LabRun run;
    std::vector<double> losses, population;
    double sum = 0;
    double best = std::numeric_limits<double>::infinity();
    int best_step = 0;
    for (int t = 1;; ++t) {
      watch();
      const quant::WeightContext context = context_of(t - 1, seed, state);
      const std::span<const float> w = weights.used(context);
      losses.push_back(problem.batch_loss(w, t - 1, weights.gradient()));
      population.push_back(problem.population_loss(w));
      sum += losses.back();
      const double average = sum / t;
      if (average < best) {
        best = average;
        best_step = t;
      }
      const bool stalled = options_.patience > 0 && t - best_step >= options_.patience;
      const bool ends = t == options_.steps || stalled || !std::isfinite(average);
      if (ends || options_.log.contains(t))
        run.rows.push_back({{"step", t}, {"average_loss", average}, {"population_loss", population.back()}});
      if (ends) break;
      step(weights, wire, state, context, d);
    }
    run.result = {{"steps", losses.size()},
                  {"average_loss", run.rows.back()["average_loss"]},
                  {"loss", mean_of_last_tenth(losses)},
                  {"population_loss", mean_of_last_tenth(population)},
                  {"floor", floor(problem)}};
    return run;
  }

 private:
  quant::WeightContext context_of(std::int64_t step, std::uint64_t seed, const OptimizerState& state) const {
    quant::WeightContext context;
    context.seed = seed;
    context.step = step;
    context.epochs = options_.steps;
    context.base_learning_rate = options_.optimizer.learning_rate;
    context.learning_rate =
        context.base_learning_rate * options_.schedule.factor({.step = step, .epochs = options_.steps});
    const int moment = options_.optimizer.rule->second_moment_slot();
    if (moment >= 0) context.second_moment = state.slots[static_cast<std::size_t>(moment)];
    return context;
  }

  void step(LatentWeights& weights, Wire& wire, OptimizerState& state, const quant::WeightContext& context,
            std::size_t d) const {
    const std::span<float> g = weights.latent_gradient(context);
    wire.send(g, context.learning_rate,
              RandomStream(context.seed, Purpose::stochastic_gradients, static_cast<std::uint32_t>(d), 0,
                           static_cast<std::uint32_t>(context.step)));
    optim::clip_gradient(options_.optimizer, std::span(&g, 1));
    options_.optimizer.rule->update({.u = weights.latents(),
                                     .g = g,
                                     .slots = state.slots,
                                     .learning_rate = context.learning_rate,
                                     .weight_decay = options_.optimizer.weight_decay,
                                     .step = context.step});
    if (options_.w_clip > 0) {
      const auto bound = static_cast<float>(options_.w_clip);
      for (float& u : weights.latents()) u = std::clamp(u, -bound, bound);
    }
    weights.settle(context);
  }

  /// The noise alone for float weights; null where a weight is no multiple of one scale.
  Json floor(const RegressionProblem& problem) const {
    const std::unique_ptr<quant::WeightMethod> method = options_.weights.make({"w", {1, 1}});
    if (method->bits() == 32) return problem.loss_of(0);
    const std::optional<quant::CodeRange> range = method->code_range();
    if (!range) return {};
    return problem.loss_of(method->bits() == 1
                               ? binary_floor(problem.w_star())
                               : level_floor(problem.w_star(), std::max(range->highest, -range->lowest)));
  }

  Options options_;
};

}  // namespace

namespace problems {

std::unique_ptr<Lab> read_linear_regression(spec::Reader& keys) {
  Options options;
  options.weights.method = "lab";
  options.optimizer.name = "rms_prop";
  options.optimizer.learning_rate = 0.03;
  options.schedule.name = "inverse_sqrt";
  keys.field("dimensions", options.dimensions, spec::between(1, 65'536), "values of d, each run by itself");
  if (options.dimensions.empty()) keys.mistake("dimensions", "is empty, must hold at least one");
  keys.field("noise", options.noise, spec::non_negative, "standard deviation of the labels' noise");
  keys.field("batch_size", options.batch_size, spec::between(1, 65'536), "samples a step");
  keys.field("steps", options.steps, spec::between(1, 10'000'000), "most steps");
  keys.field("patience", options.patience, spec::at_least(0),
             "steps without a new lowest average loss that end the run; 0: any number");
  keys.field("w_clip", options.w_clip, spec::non_negative,
             "latent weights are kept in [-w_clip, w_clip]; 0: they are not");
  read_weights(keys, options.weights);
  options.gradients.read(keys.group("gradients", "how gradients travel; keys as in quantize.gradients"));
  options.optimizer.read(keys.group("optimizer", "the rule; keys as in train.optimizer"));
  options.schedule.read(
      keys.group("schedule", "its rate over the steps, each an epoch; keys as in train.schedule"));
  options.log.read(keys);
  if (options.gradients.make.propagated || options.gradients.decay)
    keys.mistake("gradients",
                 "quantizes within a network, which this has not: must be another method, without decay");
  if (options.gradients.make.is_step && !options.optimizer.is_plain())
    keys.mistake("gradients",
                 fmt::format("has method {}, which remembers the error of plain steps, and {} makes "
                             "others: must be with sgd, momentum 0, and without clip_norm and "
                             "clip_value",
                             options.gradients.method, options.optimizer.name));
  if (options.schedule.schedule->wants_validation())
    keys.mistake("schedule",
                 fmt::format("is {}, which goes by the loss on validation data, which this has not: "
                             "must be another one",
                             options.schedule.name));
  if (options.optimizer.restart_epochs > 0)
    keys.mistake("optimizer", "restarts after epochs, which this has not: restart_epochs must be 0");
  const bool curved = options.weights.make({"w", {1, 1}})->wants_second_moment();
  if (curved && options.optimizer.rule->second_moment_slot() < 0)
    keys.mistake("optimizer",
                 "keeps no second moment, which the weight method weighs by: must be adam or rms_prop");
  return std::make_unique<LinearRegression>(std::move(options));
}

}  // namespace problems
}  // namespace qtrain::labs
