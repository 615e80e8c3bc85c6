#include "labs/two_layer_options.hpp"

#include <fmt/format.h>

#include "base/random.hpp"

namespace qtrain::labs {
namespace {

constexpr int kMostSamples = 10'000'000;

void read_teacher(spec::Reader& keys, TwoLayer& teacher) {
  keys.field("v_star", teacher.v, spec::any_number, "v* of the labels, a number a patch");
  keys.field("w_star", teacher.w, spec::any_number, "w* of the labels, a number an input; scaled to norm 1");
  if (teacher.v.empty()) keys.mistake("v_star", "is empty, must hold at least one number");
  if (teacher.w.size() < 2 || norm(teacher.w) == 0)
    keys.mistake("w_star", "must hold at least two numbers, not all zero");
  else
    teacher.w = plus(Vector(teacher.w.size()), 1 / norm(teacher.w), teacher.w);
}

void read_estimators(spec::Reader& keys, TwoLayerOptions& options) {
  std::vector<std::string> names;
  for (const quant::SteEntry& entry : quant::stes()) names.emplace_back(entry.name);
  options.stes.read(keys, names);
  for (const std::string& name : options.stes.names)
    if (!options.is_sampled() && expected_coarse_gradient(name) == nullptr)
      keys.mistake("stes", fmt::format("holds {}, which has no closed form here, must be of identity, relu, "
                                       "clipped_relu with mode population",
                                       name));
  keys.field("samples", options.samples, spec::between(1, kMostSamples),
             "inputs of empirical and stochastic, each number a run by itself");
  if (options.samples.empty()) keys.mistake("samples", "is empty, must hold at least one number");
}

void check_given(spec::Reader& keys, const char* key, const Vector& values, const Vector& teacher) {
  if (values.size() != teacher.size())
    keys.mistake(key, fmt::format("holds {} numbers, must hold {}, as {}_star does", values.size(),
                                  teacher.size(), key));
}

void read_start(spec::Reader& keys, TwoLayerOptions& options) {
  keys.choice("start", options.start, {"random", "global_minimum", "saddle", "spurious_minimum", "given"},
              "where v and w start");
  keys.field("v", options.given.v, spec::any_number, "v of start given");
  keys.field("w", options.given.w, spec::any_number, "w of start given");
  keys.field("w_norm", options.w_norm, spec::positive, "norm of w at the other starts");
  keys.field("perturbation", options.perturbation, spec::non_negative,
             "standard deviation of what is added to each number of v and w at the start");
  if (options.start == "given") {
    check_given(keys, "v", options.given.v, options.teacher.v);
    check_given(keys, "w", options.given.w, options.teacher.w);
    if (norm(options.given.w) == 0)
      keys.mistake("w", "is zero, where the model has no angle and no gradient");
  }
  const bool critical = options.start == "saddle" || options.start == "spurious_minimum";
  if (critical && !saddle(options.teacher))
    keys.mistake("start", fmt::format("is {}, which exists only where (1^T v*)^2 < (m + 1) / 2 |v*|^2",
                                      options.start));
}

}  // namespace

void TwoLayerOptions::read(spec::Reader& keys) {
  keys.choice("mode", mode, {"population", "empirical", "stochastic"}, "what gradients are means over");
  keys.choice("task", task, {"descent", "line_search"},
              "train, or the losses along the first coarse gradient");
  read_teacher(keys, teacher);
  read_estimators(keys, *this);
  read_start(keys, *this);
  keys.field("learning_rate", learning_rate, spec::positive, "rate of a step of descent");
  keys.field("steps", steps, spec::at_least(0), "steps of descent");
  keys.field("largest_eta", largest_eta, spec::positive, "where line_search ends");
  keys.field("points", points, spec::between(1, 10'000), "points of line_search beside eta = 0");
  log.read(keys);
}

TwoLayer TwoLayerOptions::start_point(std::uint64_t seed) const {
  RandomStream random(seed, Purpose::initial_weights);
  TwoLayer net = start == "given"              ? given
                 : start == "saddle"           ? *saddle(teacher)
                 : start == "spurious_minimum" ? *spurious_minimum(teacher)
                                               : teacher;
  if (start == "random")
    for (Vector* part : {&net.v, &net.w})
      for (double& value : *part) value = static_cast<double>(random.normal());
  if (start != "given") net.w = plus(Vector(net.w.size()), w_norm / norm(net.w), net.w);
  for (Vector* part : {&net.v, &net.w})
    for (double& value : *part) value += perturbation * static_cast<double>(random.normal());
  return net;
}

}  // namespace qtrain::labs
