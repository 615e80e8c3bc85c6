#include "run/experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hpp"
#include "base/threads.hpp"
#include "run/rules.hpp"

namespace qtrain::run {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kLargestEpochs = 1'000'000;

constexpr auto kLosses = std::to_array<std::pair<const char*, engine::LossKind>>(
    {{"cross_entropy", engine::LossKind::cross_entropy},
     {"squared_error", engine::LossKind::squared_error},
     {"multiclass_hinge", engine::LossKind::multiclass_hinge},
     {"squared_hinge", engine::LossKind::squared_hinge}});
constexpr auto kPrecisions = std::to_array<std::pair<const char*, engine::Precision>>(
    {{"float32", engine::Precision::float32}, {"bfloat16", engine::Precision::bfloat16}});
constexpr auto kLowBits =
    std::to_array<std::pair<const char*, engine::LowBit>>({{"auto", engine::LowBit::automatic},
                                                           {"off", engine::LowBit::off},
                                                           {"int8", engine::LowBit::int8},
                                                           {"bitwise", engine::LowBit::bitwise}});

template <class Table>
std::vector<std::string> words_of(const Table& table) {
  std::vector<std::string> words;
  for (const auto& row : table) words.emplace_back(row.first);
  return words;
}

template <class Table>
auto meaning(const Table& table, const std::string& word) {
  const auto row = std::ranges::find_if(table, [&](const auto& each) { return each.first == word; });
  QTRAIN_CHECK(row != table.end(), "the word {}", word);
  return row->second;
}

void read_train(spec::Reader keys, const model::Graph& graph, TrainSpec& train) {
  keys.field("epochs", train.epochs, spec::between(0, kLargestEpochs),
             "passes over the training images; 0 writes the initial state");
  keys.choice("loss", train.loss, words_of(kLosses), "what is minimised");
  keys.field("label_smoothing", train.label_smoothing, {.low = 0, .high = 1, .high_open = true},
             "share of the target spread over all classes; cross_entropy only");
  keys.field("freeze", train.freeze,
             "what stays as it is: weights, biases, batch_norm, statistics (running ones), quantizers, or "
             "patterns of names");
  static constexpr std::array<std::string_view, 5> kFrozen = {"weights", "biases", "batch_norm", "statistics",
                                                              "quantizers"};
  for (const std::string& word : unmatched_names(graph, train.freeze, kFrozen))
    keys.mistake("freeze",
                 fmt::format("holds '{}', which matches no parameter of the model, must be weights, "
                             "biases, batch_norm, statistics, quantizers or a pattern such as 'stage1.*'",
                             word));
  keys.field(
      "average_decay", train.average_decay, {.low = 0, .high = 1, .high_open = true},
      "evaluate the exponential moving average of all learned values, of decay min(this, (1 + t) / (10 + t)) "
      "after step t; 0: evaluate what is trained");
  spec::Reader optimizer = keys.group("optimizer", "base optimizer");
  train.optimizer.read(optimizer);
  static constexpr std::array<std::string_view, 3> kDecaying = {"weights", "biases", "batch_norm"};
  for (const std::string& word : unmatched_names(graph, train.optimizer.decay_only, kDecaying))
    optimizer.mistake("decay_only",
                      fmt::format("holds '{}', which matches no parameter of the model, must be weights, "
                                  "biases, batch_norm or a pattern such as 'fc*.weight'",
                                  word));
  train.schedule.read(keys.group("schedule", "learning rate over time"));
  if (train::is_language_model(graph) && train.loss != "cross_entropy")
    keys.mistake("loss", fmt::format("is {}, of which a language model has no perplexity: must be "
                                     "cross_entropy",
                                     train.loss));
  if (train.label_smoothing > 0 && train.loss != "cross_entropy")
    keys.mistake("label_smoothing", fmt::format("is {}, must be 0 with loss {}: only cross_entropy has it",
                                                train.label_smoothing, train.loss));
  if (train.epochs > 0 && train.schedule.warmup_epochs > train.epochs)
    keys.mistake("epochs", fmt::format("is {}, must be at least schedule.warmup_epochs = {}", train.epochs,
                                       train.schedule.warmup_epochs));
  keys.finish();
}

void read_quantize(spec::Reader keys, StageSpec& stage) {
  stage.weights.read(keys.group("weights", "how weights are quantized"));
  stage.activations.read(
      keys.group("activations", "how activations are quantized, and their surrogate derivative"));
  stage.gradients.read(keys.group("gradients", "how gradients are quantized"));
  keys.field("biases", stage.biases, "quantize biases too, by the weights' method");
  keys.field("init", stage.quantizer_init,
             "safetensors file of a net whose learned quantizers those of model.init are given; empty: none");
  if (!stage.quantizer_init.empty() && stage.model.init.empty())
    keys.mistake("init", "needs model.init, the net whose quantizers it sets: must be empty without it");
  keys.field("skip", stage.skip,
             "weights left in float: first, last, shortcuts, or patterns of parameter or layer names with *");
  std::vector<std::string> unmatched;
  skipped_weights(stage.graph, stage.skip, unmatched);
  for (const std::string& word : unmatched)
    keys.mistake(
        "skip",
        fmt::format("holds '{}', which matches no weight of the model, must be first, last, shortcuts "
                    "or a pattern such as '{}'",
                    word, "stage1.*"));
  keys.finish();
}

void read_threads(spec::Reader& keys, int& threads) {
  keys.field("threads", threads, spec::between(0, 1024),
             "threads; 0: all processors this process may use; changes no result");
}

void read_engine(spec::Reader keys, EngineSpec& engine) {
  keys.choice(
      "precision", engine.precision, words_of(kPrecisions),
      "number format of what convolutions and linear layers multiply, where not codes; sums and all else "
      "are float32");
  keys.choice(
      "low_bit", engine.low_bit, words_of(kLowBits),
      "what computes quantized layers, wherever it gives the exact sums: auto takes the fastest, measured "
      "at the start; changes no result");
  read_threads(keys, engine.threads);
  keys.field("shard", engine.shard, spec::between(1, 65536),
             "images computed as one unit, part of the numerics; default for a model without convolutions: "
             "an equal part, at most 32, of the batch");
  keys.finish();
}

/// Every shard reads all weights and writes a gradient of each. Convolutions have few, and their shards are
/// to stay in a core's cache; where all layers are matrix products that is most of the work, so shards are as
/// large as leaves two of them.
int default_shard(const model::Graph& graph, int batch) {
  const bool convolves = std::ranges::any_of(graph.layers, [](const model::Layer& layer) {
    return layer.op == model::Op::convolution && layer.kernel > 1;  // 1: a product, as in an LSTM
  });
  if (convolves) return EngineSpec().shard;
  const int shards = std::max(2, (batch + 31) / 32);
  return (batch + shards - 1) / shards;
}

bool is_quantizable(model::Parameter::Kind kind, bool biases) {
  return kind == model::Parameter::Kind::weight || (biases && kind == model::Parameter::Kind::bias);
}

StageSpec read_stage(spec::Reader& root) {
  StageSpec stage;
  spec::Reader dataset = root.group("dataset", "images or text to train on");
  stage.dataset.read(dataset);
  const datasets::Entry* entry = datasets::find(stage.dataset.name);
  if (entry == nullptr) entry = &datasets::registry().front();  // a mistake already reported
  check_dataset(dataset, stage.dataset, *entry);
  stage.graph = stage.model.read(root.group("model", "architecture"), stage.dataset.sample_shape(*entry),
                                 entry->classes);
  spec::Reader quantize = root.group("quantize", "what is quantized and how");
  read_quantize(quantize, stage);
  spec::Reader train = root.group("train", "how long and by which rule");
  read_train(train, stage.graph, stage.train);
  check_average(train, stage);
  check_curvature(quantize, stage);
  check_activations(quantize, stage);
  check_gradients(quantize, stage);
  stage.engine.shard = default_shard(stage.graph, stage.dataset.batch_size);
  read_engine(root.group("engine", "how it is computed"), stage.engine);
  stage.workers.read(root.group("workers", "who shares the images of a step, and how"));
  stage.loader = stage.dataset;
  if (stage.workers.batch_each) stage.loader.batch_size *= stage.workers.count;
  if (stage.dataset.steps_per_epoch(*entry) > 0 && stage.loader.steps_per_epoch(*entry) == 0)
    dataset.mistake("batch_size",
                    fmt::format("is {} lanes of {} tokens for each of {} workers, more than the "
                                "{} training tokens give: must be smaller",
                                stage.dataset.batch_size, stage.dataset.sequence, stage.workers.count,
                                stage.dataset.train_count(*entry)));
  if (stage.loader.batch_size < stage.workers.count)
    dataset.mistake("batch_size", fmt::format("is {}, must be at least the {} workers that share it",
                                              stage.dataset.batch_size, stage.workers.count));
  return stage;
}

void read_head(spec::Reader& root, ExperimentSpec& experiment) {
  root.field("name", experiment.name, "name of the experiment; part of the run folder's name");
  const bool plain = std::ranges::all_of(experiment.name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
  if (experiment.name.empty() || !plain || experiment.name.front() == '.' || experiment.name.size() > 100)
    root.mistake("name",
                 fmt::format("is '{}', must be 1 to 100 letters, digits, '_', '-' and '.', the first no '.'",
                             experiment.name));
  const spec::Bounds exact = spec::between(0, 9007199254740992.0);  // what every reader of JSON holds
  root.field("seed", experiment.seed, exact, "seed of everything random");
  root.field("seeds", experiment.seeds, exact, "run each of these seeds and average; empty: just seed");
  for (std::size_t i = 0; i < experiment.seeds.size(); ++i)
    if (std::count(experiment.seeds.begin(), experiment.seeds.end(), experiment.seeds[i]) > 1) {
      root.mistake("seeds", fmt::format("holds {} twice, must be distinct", experiment.seeds[i]));
      break;
    }
}

/// One of the four numbers that can be expected. The defaults stand for "not given".
void read_expected_number(spec::Reader& keys, const StageSpec& stage, Expectation& expect) {
  double accuracy = -1, test_accuracy = -1, perplexity = -1, loss = -1;
  keys.field("val_accuracy", accuracy, spec::fraction,
             "accuracy of the exactly quantized network at the end, as a fraction");
  keys.field("test_accuracy", test_accuracy, spec::fraction,
             "or, with dataset.held_out, its accuracy on the test images after the epoch that is best on "
             "those held out; exactly one of these four is given");
  keys.field("val_perplexity", perplexity, spec::at_least(1), "or its perplexity, of a language model");
  keys.field("val_loss", loss, spec::non_negative, "or its loss, of a language model in nats a token");
  int given = 0;
  for (const auto& [metric, value] : {std::pair("val_accuracy", accuracy),
                                      {"test_accuracy", test_accuracy},
                                      {"val_perplexity", perplexity},
                                      {"val_loss", loss}}) {
    if (!keys.has(metric)) continue;
    if (++given > 1)
      keys.mistake(metric, fmt::format("stands beside {}: one of the two must be left out", expect.metric));
    expect.metric = metric;
    expect.value = value;
  }
  if (given == 0)
    keys.mistake(
        "val_accuracy",
        "is missing, must be a number in [0, 1], or test_accuracy, val_perplexity or val_loss given");
  if (keys.has("val_perplexity") && !train::is_language_model(stage.graph))
    keys.mistake("val_perplexity",
                 fmt::format("is of language models, which {} is not: must be {}", stage.graph.name,
                             stage.dataset.held_out > 0 ? "test_accuracy" : "val_accuracy or val_loss"));
  if (keys.has("test_accuracy") && stage.dataset.held_out <= 0)
    keys.mistake("test_accuracy",
                 "needs images held out to validate on: must be val_accuracy, or "
                 "dataset.held_out given");
  for (const char* key : {"val_accuracy", "val_loss"})
    if (keys.has(key) && stage.dataset.held_out > 0)
      keys.mistake(key, "is of training images with dataset.held_out: must be test_accuracy");
}

void read_expectation(spec::Reader& root, const StageSpec& stage, ExperimentSpec& experiment) {
  if (!root.has("expect")) return root.ignore("expect");
  spec::Reader keys = root.group("expect", "the number this experiment should reach");
  Expectation& expect = experiment.expect.emplace();
  read_expected_number(keys, stage, expect);
  keys.choice("weights", expect.weights, {"quantized", "training"},
              "of which weights it is: exactly quantized ones, unless given, or those that training uses");
  keys.field("tolerance", expect.tolerance, spec::between(0, 1),
             "how far below still counts as met, of perplexity and loss which share of it above");
  keys.field("source", expect.source, "where the number comes from");
  keys.choice("status", expect.status, {"read", "remembered", "goal"},
              "whether the number was read in its source, is remembered, or is a goal of ours");
  keys.finish();
}

/// A spec with `lab`: besides it only name, seeds and threads.
LabSection read_lab(spec::Reader& root) {
  LabSection lab;
  lab.spec.read(root.group("lab", "a problem of a paper, in place of a network and its data"));
  spec::Reader engine = root.group("engine", "how it is computed");
  read_threads(engine, lab.threads);
  engine.finish();
  for (const char* key : {"dataset", "model", "quantize", "train", "workers", "stages", "expect"}) {
    if (root.has(key))
      root.mistake(key, "stands beside lab, which takes its place: must be left out, or lab must");
    root.ignore(key);
  }
  return lab;
}

/// The resolved spec without the keys that cannot change a result.
Json without_surroundings(Json resolved) {
  if (resolved.contains("dataset")) resolved["dataset"].erase("root");
  if (resolved.contains("engine")) {
    resolved["engine"].erase("threads");
    resolved["engine"].erase("low_bit");
    if (resolved["engine"].empty()) resolved.erase("engine");
  }
  if (resolved.contains("workers")) resolved["workers"].erase("transport");
  return resolved;
}

}  // namespace

ExperimentSpec read_experiment(spec::Document& document) {
  ExperimentSpec experiment;
  const std::size_t count = document.list_size("stages");
  spec::Reader root = document.root();
  read_head(root, experiment);
  if (root.has("lab")) {
    experiment.lab = read_lab(root);
    root.finish();
    experiment.resolved = without_surroundings(document.resolved());
    document.diagnostics().throw_if_any();
    return experiment;
  }
  StageSpec whole = read_stage(root);
  read_expectation(root, whole, experiment);
  root.ignore("stages");
  root.ignore("lab");
  root.finish();
  const Json resolved = document.resolved();
  experiment.resolved = without_surroundings(resolved);
  for (std::size_t i = 0; i < count; ++i) {
    spec::Document merged = document.merged("stages", i);
    spec::Reader stage = merged.root();
    ExperimentSpec head;
    read_head(stage, head);
    experiment.stages.push_back(read_stage(stage));
    read_expectation(stage, experiment.stages.back(), head);
    stage.finish();
    check_stage(stage, resolved, merged.resolved(), i);
    experiment.resolved["stages"].push_back(without_surroundings(merged.resolved()));
  }
  document.report_replaced("stages");
  experiment.warnings = document.diagnostics().warnings();
  if (count == 0) experiment.stages.push_back(std::move(whole));
  document.diagnostics().throw_if_any();
  return experiment;
}

std::string Expectation::reached_key() const {
  return (weights == "training" ? "" : "quantized_") + metric +
         (metric == "test_accuracy" ? "_at_best_val" : "");
}

bool Expectation::met(double reached) const {
  return metric.ends_with("accuracy") ? reached >= value - tolerance : reached <= value * (1 + tolerance);
}

train::Stage training_stage(const StageSpec& stage, std::int64_t seed) {
  train::Stage result;
  result.graph = &stage.graph;
  std::vector<std::string> unmatched;
  const std::vector<bool> skipped = skipped_weights(stage.graph, stage.skip, unmatched);
  const std::vector<model::Parameter> parameters = model::parameters(stage.graph);
  result.quantization.weights.resize(parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (stage.weights.method != "none" && !skipped[i] && is_quantizable(parameters[i].kind, stage.biases))
      result.quantization.weights[i] = stage.weights.make;
  result.quantization.activations = stage.activations.make;
  result.quantization.ste = stage.activations.make_ste;
  result.loss.kind = meaning(kLosses, stage.train.loss);
  result.loss.label_smoothing = stage.train.label_smoothing;
  result.options.threads = stage.engine.threads > 0 ? stage.engine.threads : available_processors();
  result.options.shard = stage.engine.shard;
  result.options.low_bit = meaning(kLowBits, stage.engine.low_bit);
  result.options.precision = meaning(kPrecisions, stage.engine.precision);
  result.options.batch = (stage.loader.batch_size + stage.workers.count - 1) / stage.workers.count;
  result.options.seed = static_cast<std::uint64_t>(seed);
  result.quantization.propagated = stage.gradients.make.propagated;
  result.gradients = &stage.gradients;
  result.workers = &stage.workers;
  result.optimizer = &stage.train.optimizer;
  result.schedule = &stage.train.schedule;
  result.options.keep_statistics = std::ranges::count(stage.train.freeze, "statistics") > 0;
  if (!stage.train.freeze.empty())
    result.options.frozen = [&stage](const engine::ParameterSlot& slot) {
      return is_named(stage.train.freeze, slot);
    };
  if (!stage.train.optimizer.decay_only.empty())
    result.decays = [&stage](const engine::ParameterSlot& slot) {
      return is_named(stage.train.optimizer.decay_only, slot);
    };
  result.loader = &stage.loader;
  result.average_decay = stage.train.average_decay;
  result.epochs = stage.train.epochs;
  return result;
}

}  // namespace qtrain::run
