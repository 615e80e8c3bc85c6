#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "run/bench.hpp"
#include "run/bench_subject.hpp"
#include "run/machine.hpp"
#include "run/statistics.hpp"

namespace qtrain::run {

namespace {

constexpr const char* kSpec = R"(
name: bench
dataset: {name: shapes10}
model: {name: resnet20}
train: {epochs: 1, optimizer: {name: adam, learning_rate: 1.0e-4}}
)";

/// One way to quantize, and what `none` is to it.
struct Candidate {
  std::string name;
  ExperimentSpec experiment;
  std::unique_ptr<BenchSubject> subject = {};
  std::vector<double> ratios = {};
};

Candidate candidate(const std::string& name, const std::vector<std::string>& overrides) {
  spec::Document document = spec::Document::parse(kSpec, "bench", overrides);
  return {.name = name, .experiment = read_experiment(document)};
}

/// What weight methods cost besides their defaults.
std::vector<std::pair<std::string, std::string>> weight_variants() {
  std::vector<std::pair<std::string, std::string>> variants;
  for (const quant::WeightEntry& entry : quant::weight_methods())
    variants.emplace_back(entry.name, fmt::format("{{method: {}}}", entry.name));
  for (const char* keys :
       {"binary_connect, mode: stochastic", "alternating, bits: 3", "prox_quant, levels: ternary",
        "prox_quant, levels: multi_bit", "laq, bits: 4", "laq, bits: 2, solver: exact",
        "md_tanh_s, levels: ternary", "md_softmax_s, levels: ternary", "pmf, levels: ternary"})
    variants.emplace_back(keys, fmt::format("{{method: {}}}", keys));
  return variants;
}

/// Prints each candidate's step beside that of the first.
void compare(const char* title, std::vector<Candidate> candidates, const BenchRequest& request) {
  for (Candidate& c : candidates) {
    c.subject = std::make_unique<BenchSubject>(c.experiment, request.threads, request.batch);
    c.subject->train_seconds();
  }
  std::vector<double> plain;
  for (int round = 0; round < request.rounds; ++round)
    for (Candidate& c : candidates) {
      std::vector<double> base, own;
      for (int k = 0; k < request.steps; ++k) {
        base.push_back(candidates.front().subject->train_seconds());
        own.push_back(c.subject->train_seconds());
      }
      plain.push_back(median(base));
      c.ratios.push_back(median(own) / plain.back());
    }
  fmt::print("\n{}: the step beside that of none, {:.1f} ms (median of {} x {} steps in turn)\n", title,
             1e3 * median(plain), request.rounds, request.steps);
  for (const Candidate& c : candidates)
    fmt::print("  {:<36} {:+6.1f} %\n", c.name, 100 * (median(c.ratios) - 1));
}

}  // namespace

void benchmark_methods(const BenchRequest& request) {
  fmt::print("{}, {} threads, ResNet-20, batch {}, Adam\n", cpu_model(), request.threads, request.batch);
  std::vector<Candidate> weights;
  for (const auto& [name, keys] : weight_variants())
    weights.push_back(candidate(name, {"quantize.weights=" + keys}));
  compare("weight methods, ReLU", std::move(weights), request);
  std::vector<Candidate> activations;
  activations.push_back(candidate("none", {}));
  for (const quant::ActivationEntry& entry : quant::activation_quantizers()) {
    const std::string ste = entry.refuses("clipped_relu").empty() ? "clipped_relu" : "hard_tanh";
    activations.push_back(candidate(
        entry.name, {fmt::format("quantize.activations={{quantizer: {}, ste: {}}}", entry.name, ste)}));
  }
  for (const quant::SteEntry& entry : quant::stes()) {
    for (const quant::ActivationEntry& q : quant::activation_quantizers()) {
      if (!q.refuses(entry.name).empty()) continue;
      activations.push_back(
          candidate(fmt::format("{} with {}", q.name, entry.name),
                    {fmt::format("quantize.activations={{quantizer: {}, ste: {}}}", q.name, entry.name)}));
      break;
    }
  }
  compare("activation quantizers and STEs, float weights", std::move(activations), request);
}

}  // namespace qtrain::run
