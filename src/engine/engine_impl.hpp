#pragma once
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/compile.hpp"

namespace qtrain::engine {

/// What is behind an Engine; for the sources that implement it.
struct Engine::Impl {
  Impl(const model::Graph& model_graph, const Quantization& quantization, const Loss& loss,
       const Options& engine_options)
      : graph(model_graph),
        options(engine_options),
        parameters(graph, quantization, engine_options.seed),
        machine(engine_options.threads, engine_options.poison),
        shared{.graph = graph,
               .shapes = model::infer_shapes(graph),
               .loss = loss,
               .seed = engine_options.seed,
               .threads = engine_options.threads,
               .low_bit = engine_options.low_bit,
               .precision = engine_options.precision,
               .keep_statistics = engine_options.keep_statistics,
               .shards = (engine_options.batch + engine_options.shard - 1) / engine_options.shard,
               .parameters = parameters,
               .machine = machine} {
    shared.losses.resize(static_cast<std::size_t>(shared.shards));
    summands.resize(shared.losses.size());
    make_units(quantization);
    if (quantization.propagated) shared.propagated = quantization.propagated();
    training = compile(shared, std::min(options.shard, options.batch), Mode::training);
    list_statistics();
  }

  void make_units(const Quantization& quantization);
  void list_statistics();

  /// The program for the short last shard of a batch of `count`; null when it divides evenly.
  Compiled* short_program(int count, Mode mode) {
    const int rest = count % options.shard;
    if (rest == 0 || count < options.shard) return nullptr;
    return program_for(rest, mode);
  }
  /// The program whose shards are full, or hold the whole of a batch smaller than one shard.
  Compiled* full_program(int count, Mode mode) { return program_for(std::min(count, options.shard), mode); }
  Compiled* program_for(int images, Mode mode) {
    if (mode == Mode::training && images == training->program.images_per_shard()) return training.get();
    auto& slot = others[{images, mode}];
    if (!slot) slot = compile(shared, images, mode);
    return slot.get();
  }

  int shards_of(int count) const { return (count + options.shard - 1) / options.shard; }
  BatchResult sum_losses(int count);
  void check_batch(std::span<const float> images, std::size_t labels, int count, int first = 0) const;
  bool reduce_gradients(const Compiled& full, const Compiled* rest, int count);
  void reduce_learned(int shards);
  void evaluate_pass(std::span<const float> images, const std::int32_t* labels, int count);
  Mode evaluation() const { return in_floats ? Mode::float_evaluation : Mode::evaluation; }
  using Check = std::function<bool(const Step&, std::span<const float>)>;
  void trace(std::span<const float> images, const std::int32_t* labels, int count, const Check& check);
  ActivationUnit::Observed observe(ActivationUnit& unit, std::span<const float> images, int count);

  model::Graph graph;
  Options options;
  Parameters parameters;
  Machine machine;
  Shared shared;
  std::unique_ptr<Compiled> training;
  std::map<std::pair<int, Mode>, std::unique_ptr<Compiled>> others;
  std::vector<StatisticsSlot> statistics;
  bool in_floats = false;        ///< the latents are in use
  int lanes = 0;                 ///< of the sequences begun
  std::uint64_t state = 1;       ///< counts whatever may have changed what evaluation computes
  std::vector<double> summands;  ///< [shard], scratch
  struct Work {
    Shared::WeightGradient* gradient;
    Shared::WeightGradient::Range* range;
  };
  std::vector<Work> work;  ///< scratch of reduce_gradients
};

}  // namespace qtrain::engine
