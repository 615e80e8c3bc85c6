#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/threads.hpp"
#include "base/words.hpp"
#include "engine/engine.hpp"
#include "run/console.hpp"
#include "run/experiment.hpp"
#include "run/lab_run.hpp"
#include "run/run.hpp"

namespace qtrain::run {
namespace {

constexpr int kTimedBatches = 3;

/// Seconds of one training step on random images or tokens, the best of a few after one to warm up.
double time_step(engine::Engine& engine, const model::Graph& graph, int batch) {
  RandomStream random(0, Purpose::generated_data);
  std::vector<float> images(static_cast<std::size_t>(batch) * element_count(graph.input));
  std::vector<std::int32_t> labels(static_cast<std::size_t>(batch) * static_cast<std::size_t>(graph.targets));
  const auto classes = static_cast<std::uint32_t>(graph.classes);
  const bool tokens = graph.input.size() == 1;
  for (float& x : images) x = tokens ? static_cast<float>(random.below(classes)) : random.uniform(-1, 1);
  for (std::int32_t& y : labels) y = static_cast<std::int32_t>(random.below(classes));
  engine.start_sequences(batch);
  double best = 0;
  for (int i = 0; i <= kTimedBatches; ++i) {
    const auto started = std::chrono::steady_clock::now();
    engine.use_weights({});
    engine.train(images, labels);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
    if (i == 1 || (i > 1 && seconds.count() < best)) best = seconds.count();
  }
  return best;
}

std::string bits_text(int bits) { return bits == 32 ? "float" : fmt::format("{} bit", bits); }

void print_layers(const engine::Engine& engine) {
  std::int64_t parameters = 0, macs = 0;
  fmt::print("{:<28} {:<20} {:>14} {:>12} {:>14} {:>8} {:>8}  {}\n", "layer", "operation", "output",
             "parameters", "MACs", "weights", "inputs", "path");
  for (const engine::LayerInfo& layer : engine.layers()) {
    const bool weighted = layer.weight_bits != 0;
    fmt::print("{:<28} {:<20} {:>14} {:>12} {:>14} {:>8} {:>8}  {}\n", layer.name, layer.op,
               to_string(layer.output), layer.parameters, layer.multiply_accumulates,
               weighted ? bits_text(layer.weight_bits) : "", weighted ? bits_text(layer.activation_bits) : "",
               layer.path);
    parameters += layer.parameters;
    macs += layer.multiply_accumulates;
  }
  fmt::print("{:<28} {:<20} {:>14} {:>12} {:>14}\n", "total", "", "", parameters, macs);
}

/// Returns the seconds that its training is to take.
double print_stage(const StageSpec& stage, std::int64_t seed) {
  const train::Stage setup = training_stage(stage, seed);
  engine::Engine engine(stage.graph, setup.quantization, setup.loss, setup.options);
  print_layers(engine);
  const datasets::Entry& entry = *datasets::find(stage.dataset.name);
  const int steps = stage.loader.steps_per_epoch(entry), batch = stage.loader.batch_size;
  const char* samples = entry.text ? "sequences" : "images";
  // Workers of one process take turns.
  const double seconds = time_step(engine, stage.graph, setup.options.batch) * stage.workers.count;
  fmt::print("\nthreads {}, shard {} {}, memory of the engine {:.1f} MB\n", engine.threads(),
             stage.engine.shard, samples, static_cast<double>(engine.memory_bytes()) / 1e6);
  fmt::print(
      "one step of {} {} {:.1f} ms ({:.0f} {}/s); an epoch of {} steps about {}, {} epochs about "
      "{}\n",
      batch, samples, 1000 * seconds, batch / seconds, samples, steps, duration_text(steps * seconds),
      stage.train.epochs, duration_text(steps * seconds * stage.train.epochs));
  return steps * seconds * stage.train.epochs;
}

}  // namespace

void dry_run(const Request& request) {
  spec::Document document = spec::Document::load(request.spec, request.overrides);
  const ExperimentSpec experiment = read_experiment(document);
  for (const std::string& line : experiment.warnings) fmt::print(stderr, "warning: {}\n", line);
  if (experiment.lab) return print_lab(experiment);
  const std::size_t stages = experiment.stages.size(),
                    seeds = std::max<std::size_t>(experiment.seeds.size(), 1);
  double seconds = 0;
  for (std::size_t i = 0; i < stages; ++i) {
    if (stages > 1) fmt::print("{}stage {} of {}\n", i > 0 ? "\n" : "", i + 1, stages);
    seconds += print_stage(experiment.stages[i], experiment.seed);
  }
  if (stages > 1 || seeds > 1)
    fmt::print("{} and {} about {}, evaluation not counted\n", counted(stages, "stage"),
               counted(seeds, "seed"), duration_text(seconds * static_cast<double>(seeds)));
}

}  // namespace qtrain::run
