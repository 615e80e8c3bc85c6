#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/dataset.hpp"
#include "dist/worker_spec.hpp"
#include "labs/lab.hpp"
#include "model/graph.hpp"
#include "optim/optimizer.hpp"
#include "quant/activation.hpp"
#include "quant/gradient.hpp"
#include "quant/weight_method.hpp"
#include "spec/reader.hpp"
#include "train/stage.hpp"

namespace qtrain::run {

/// The `train:` section.
struct TrainSpec {
  int epochs = 200;
  std::string loss = "cross_entropy";
  double label_smoothing = 0;
  std::vector<std::string> freeze;
  double average_decay = 0;
  optim::OptimizerSpec optimizer;
  optim::ScheduleSpec schedule;
};

/// The `engine:` section.
struct EngineSpec {
  std::string precision = "float32";
  std::string low_bit = "auto";
  int threads = 0;  ///< 0: as many as this process may use
  int shard = 8;
};

/// One stage: the spec with that stage's changes laid over it.
struct StageSpec {
  datasets::DatasetSpec dataset;
  model::ModelSpec model;
  model::Graph graph;
  quant::WeightSpec weights;
  quant::ActivationSpec activations;
  quant::GradientSpec gradients;
  bool biases = false;
  std::vector<std::string> skip;
  std::string quantizer_init;  ///< quantize.init
  TrainSpec train;
  EngineSpec engine;
  dist::WorkerSpec workers;
  datasets::DatasetSpec loader;  ///< `dataset` with the images of a whole step as its batch
};

/// The `expect:` section.
struct Expectation {
  std::string metric = "val_accuracy";  ///< or test_accuracy, val_perplexity, val_loss
  double value = 0;
  std::string weights;       ///< quantized or training; not given: quantized
  double tolerance = 0.005;  ///< of an accuracy; of the others a share of the value
  std::string source;
  std::string status = "read";
  std::string reached_key() const;  ///< of `.result`, what is compared
  bool met(double reached) const;
};

/// A lab in place of a network and its data.
struct LabSection {
  labs::LabSpec spec;
  int threads = 0;  ///< 0: as many as this process may use
};

/// A whole experiment, checked.
struct ExperimentSpec {
  std::string name = "experiment";
  std::int64_t seed = 1;
  std::vector<std::int64_t> seeds;  ///< run each of these instead of `seed`; empty: just `seed`
  std::vector<StageSpec> stages;    ///< at least one; without `stages:` the spec itself; none of a lab
  std::optional<LabSection> lab;
  std::optional<Expectation> expect;
  std::vector<std::string> warnings;  ///< of what in the spec may not be meant, a line each
  /// Every key with its value, those of each stage too, less what cannot change a result (engine.threads,
  /// engine.low_bit, dataset.root). Running it again gives the same numbers.
  nlohmann::ordered_json resolved;
};

/// Reads a spec and checks it as a whole. An Error (usage) holds every mistake, one a line.
ExperimentSpec read_experiment(spec::Document& document);

/// A resolved spec as files hold it, with of each stage what differs from the whole: it reads back to the
/// same, and a word laid over the whole reaches every stage whose value is no other than the whole's.
nlohmann::ordered_json stages_as_changes(nlohmann::ordered_json resolved);

/// The spec in the files of one of `seeds`: the same experiment with that seed alone.
nlohmann::ordered_json resolved_for_seed(const ExperimentSpec& experiment, std::int64_t seed);

/// Eight hexadecimal digits of what decides the numbers: ExperimentSpec::resolved without name, seeds and
/// expectation.
std::string spec_hash(const nlohmann::ordered_json& resolved);

/// Dotted paths whose values differ between two resolved specs, in order of the first, then those only in the
/// second. Stages may be whole or as changes; those of another number are one path, and so is a list.
std::vector<std::string> differing_keys(nlohmann::ordered_json a, nlohmann::ordered_json b);
/// The first few of them for a message, and how many more there are.
std::string listed_keys(const std::vector<std::string>& keys);

/// One flag per model::parameters(graph) entry: true for a weight or bias that `skip` leaves in float.
/// `first` and `last` are the first and the last layer with weights, `shortcuts` convolutions of shortcuts;
/// another word is a pattern for a parameter's or its layer's name, `*` standing for any characters. A word
/// that matches nothing is returned in `unmatched`.
std::vector<bool> skipped_weights(const model::Graph& graph, const std::vector<std::string>& skip,
                                  std::vector<std::string>& unmatched);

/// Whether `words` hold the kind of a slot (weights, biases, batch_norm, quantizers) or a pattern of its
/// name.
bool is_named(const std::vector<std::string>& words, const engine::ParameterSlot& slot);
/// The words that are none of `kinds` and match no parameter of the graph.
std::vector<std::string> unmatched_names(const model::Graph& graph, const std::vector<std::string>& words,
                                         std::span<const std::string_view> kinds);

/// The stage as the trainer takes it, but for the transport; refers to `stage`, which must outlive it.
train::Stage training_stage(const StageSpec& stage, std::int64_t seed);

}  // namespace qtrain::run
