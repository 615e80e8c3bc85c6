#include "run/bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "base/error.hpp"
#include "engine/bare_convolutions.hpp"
#include "kernels/kernels.hpp"
#include "run/machine.hpp"
#include "run/statistics.hpp"

namespace qtrain::run {

namespace {

constexpr const char* kSpec = R"(
name: bench
dataset: {name: shapes10}
model: {name: resnet20}
quantize:
  weights: {method: binary_connect}
  activations: {quantizer: quantized_relu, bits: 4, ste: clipped_relu}
  skip: [first, last]
train: {epochs: 1, optimizer: {name: sgd, learning_rate: 0.01, momentum: 0.9, weight_decay: 1.0e-4}}
)";

}  // namespace

double ask_peer(const std::string& command, const char* key) {
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) fail(ExitCode::failed, "cannot start the peer: {}", command);
  std::string text;
  std::array<char, 512> part{};
  while (std::fgets(part.data(), part.size(), pipe) != nullptr) text += part.data();
  const int status = pclose(pipe);
  const auto line = nlohmann::json::parse(text, nullptr, false);
  if (status != 0 || !line.is_object() || !line.contains(key))
    fail(ExitCode::failed, "the peer failed or printed no JSON line with {}: {}", key, command);
  return line[key];
}

void print_profile(const BenchSubject::Times& times, int steps, int threads) {
  const auto print = [&](const std::string& kind, double seconds) {
    fmt::print("  {:<30} {:8.2f}  {:5.1f} %\n", kind, 1e3 * seconds / steps, 100 * seconds / times.whole);
  };
  fmt::print("\nthe training step by kind, milliseconds (a thread's share)\n");
  double rest = times.whole - times.updates;
  for (const auto& row : times.passes.rows) {
    print(row.kind, row.seconds / threads);
    rest -= row.seconds / threads;
  }
  print("weights + optimizer", times.updates);
  print("waiting + rest", rest);
}

void benchmark(const BenchRequest& request) {
  spec::Document document = spec::Document::parse(kSpec, "bench", {"engine.precision=" + request.precision});
  const ExperimentSpec experiment = read_experiment(document);
  const model::Graph& graph = experiment.stages.front().graph;
  const auto macs = model::multiply_accumulates(graph);
  const double forward_macs = static_cast<double>(std::accumulate(macs.begin(), macs.end(), std::int64_t{0}));
  const double first_macs = static_cast<double>(*std::ranges::find_if(macs, [](auto m) { return m > 0; }));
  const double train_macs = 3 * forward_macs - first_macs;

  BenchSubject subject(experiment, request.threads, request.batch);
  for (int k = 0; k < 3; ++k) subject.train_seconds();
  subject.reset_times();
  std::vector<double> ours, peers, ratios, bare;
  engine::BareConvolutions convolutions;
  double peak = 0;
  for (int round = 0; round < request.rounds; ++round) {
    std::vector<double> steps;
    for (int k = 0; k < request.steps; ++k) steps.push_back(subject.train_seconds());
    ours.push_back(median(steps));
    convolutions = engine::time_bare_convolutions(graph, request.batch, request.threads, 5);
    bare.push_back(convolutions.sum());
    peak = std::max(peak, measure_peak(request.threads));
    if (request.peer.empty()) continue;
    peers.push_back(ask_peer(request.peer, "train_images_per_second"));
    ratios.push_back(request.batch / ours.back() / peers.back());
  }
  const BenchSubject::Times times = subject.times();
  std::vector<double> inference;
  for (int k = 0; k < request.steps; ++k) inference.push_back(subject.evaluate_seconds());

  const double step = median(ours), images = request.batch / step;
  fmt::print("{}, {} threads, {}, ResNet-20, binary weights, 4-bit activations, {}, batch {}\n", cpu_model(),
             request.threads, kernels::active().isa, request.precision, request.batch);
  fmt::print("  training                      {:8.0f} images/s, {:.1f} ms a step (median of {} x {})\n",
             images, 1e3 * step, request.rounds, request.steps);
  fmt::print("  inference                     {:8.0f} images/s\n", request.batch / median(inference));
  fmt::print("  float32 peak, measured        {:8.1f} GMAC/s; training reaches {:.2f} of it\n", peak * 1e-9,
             images * train_macs / peak);
  fmt::print(
      "  bare float32 convolutions     {:8.1f} ms (last round: forward {:.1f}, data {:.1f}, weights {:.1f}); "
      "training reaches {:.2f} of their speed\n",
      1e3 * median(bare), 1e3 * convolutions.forward, 1e3 * convolutions.backward_data,
      1e3 * convolutions.backward_weights, median(bare) / step);
  fmt::print("  memory                        {:8.0f} MB of tensors, {:.0f} MB peak of the process\n",
             static_cast<double>(subject.engine().memory_bytes()) / 1e6,
             static_cast<double>(peak_memory_bytes()) / 1e6);
  if (!peers.empty())
    fmt::print(
        "  peer                          {:8.0f} images/s; this is {:.2f} times as fast (median of pairs)\n",
        median(peers), median(ratios));
  print_profile(times, request.rounds * request.steps, request.threads);
}

}  // namespace qtrain::run
