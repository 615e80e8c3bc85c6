#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/kernels.hpp"
#include "run/bench.hpp"
#include "run/machine.hpp"
#include "run/statistics.hpp"

namespace qtrain::run {

namespace {

constexpr int kLanes = 100;

constexpr const char* kSpec = R"(
name: bench
dataset: {name: war_and_peace, batch_size: 100, sequence: 100}
model: {name: lstm, hidden: 512}
quantize: {weights: {method: bwn, scale: tensor}}
train: {epochs: 1, optimizer: {name: adam, learning_rate: 0.002, clip_value: 5}}
engine: {shard: 50}
)";

}  // namespace

void benchmark_language_model(const BenchRequest& request) {
  spec::Document document = spec::Document::parse(kSpec, "bench", {"engine.precision=" + request.precision});
  const ExperimentSpec experiment = read_experiment(document);
  const model::Graph& graph = experiment.stages.front().graph;
  const auto macs = model::multiply_accumulates(graph);
  const double forward_macs = static_cast<double>(std::accumulate(macs.begin(), macs.end(), std::int64_t{0}));

  BenchSubject subject(experiment, request.threads, kLanes);
  for (int k = 0; k < 2; ++k) subject.train_seconds();
  subject.reset_times();
  std::vector<double> ours, peers, ratios;
  double peak = 0;
  for (int round = 0; round < request.rounds; ++round) {
    std::vector<double> steps;
    for (int k = 0; k < request.steps; ++k) steps.push_back(subject.train_seconds());
    ours.push_back(median(steps));
    peak = std::max(peak, measure_peak(request.threads));
    if (request.peer.empty()) continue;
    peers.push_back(ask_peer(request.peer, "train_tokens_per_second"));
    ratios.push_back(kLanes * graph.targets / ours.back() / peers.back());
  }
  const double step = median(ours);
  fmt::print("{}, {} threads, {}, LSTM of 512 cells, binary weights, {}, {} texts of {} characters\n",
             cpu_model(), request.threads, kernels::active().isa, request.precision, kLanes, graph.targets);
  fmt::print("  training                      {:8.0f} tokens/s, {:.1f} ms a step (median of {} x {})\n",
             kLanes * graph.targets / step, 1e3 * step, request.rounds, request.steps);
  fmt::print("  float32 peak, measured        {:8.1f} GMAC/s; training reaches {:.2f} of it\n", peak * 1e-9,
             kLanes * 3 * forward_macs / step / peak);
  if (!peers.empty())
    fmt::print(
        "  peer                          {:8.0f} tokens/s; this is {:.2f} times as fast (median of pairs)\n",
        median(peers), median(ratios));
  print_profile(subject.times(), request.rounds * request.steps, request.threads);
}

}  // namespace qtrain::run
