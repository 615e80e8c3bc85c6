#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "kernels/kernels.hpp"
#include "run/bench.hpp"
#include "run/bench_subject.hpp"
#include "run/machine.hpp"

namespace qtrain::run {

namespace {

struct Net {
  const char* name;
  const char* weights;  ///< keys of quantize.weights
  int activation_bits;
};
constexpr Net kNets[] = {{"W1A1", "method: binary_connect", 1},
                         {"W1A2", "method: binary_connect", 2},
                         {"W1A4", "method: binary_connect", 4},
                         {"W2A2", "method: dorefa, bits: 2", 2}};
constexpr const char* kPaths[] = {"off", "int8", "bitwise", "auto"};

std::string spec_of(const Net& net) {
  return fmt::format(R"(
name: bench
dataset: {{name: shapes10}}
model: {{name: resnet20}}
quantize:
  weights: {{{}}}
  activations: {{quantizer: quantized_relu, bits: {}, ste: clipped_relu}}
  skip: [first, last]
train: {{epochs: 1, optimizer: {{name: sgd, learning_rate: 0.01}}}}
)",
                     net.weights, net.activation_bits);
}

ExperimentSpec experiment_of(const Net& net, const std::string& path) {
  spec::Document document = spec::Document::parse(spec_of(net), "bench", {"engine.low_bit=" + path});
  return read_experiment(document);
}

}  // namespace

void benchmark_inference(const BenchRequest& request) {
  fmt::print(
      "{}, {} threads, {}: ResNet-20 inference by engine.low_bit, batch {}, images/s, best of {} x {}\n",
      cpu_model(), request.threads, kernels::active().isa, request.batch, request.rounds, request.steps);
  fmt::print("  {:<6}", "bits");
  for (const char* path : kPaths) fmt::print(" {:>8}", path);
  fmt::print("\n");
  for (const Net& net : kNets) {
    std::deque<ExperimentSpec> experiments;
    std::deque<BenchSubject> subjects;
    for (const char* path : kPaths) {
      experiments.push_back(experiment_of(net, path));
      subjects.emplace_back(experiments.back(), request.threads, request.batch).evaluate_seconds();
    }
    std::vector<double> best(subjects.size(), 1e9);
    for (int round = 0; round < request.rounds; ++round)
      for (std::size_t k = 0; k < subjects.size(); ++k)
        for (int step = 0; step < request.steps; ++step)
          best[k] = std::min(best[k], subjects[k].evaluate_seconds());
    fmt::print("  {:<6}", net.name);
    for (const double seconds : best) fmt::print(" {:8.0f}", request.batch / seconds);
    fmt::print("\n");
  }
}

}  // namespace qtrain::run
