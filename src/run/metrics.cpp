#include "run/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/kernels.hpp"
#include "run/machine.hpp"

namespace qtrain::run {
namespace {

constexpr std::size_t kLargestCodebook = 16;

/// Distinct values of a quantized weight, ascending; null when there are too many to be a codebook.
Json codebook(std::span<const float> weights) {
  std::set<float> values;
  for (const float w : weights) {
    values.insert(w);
    if (values.size() > kLargestCodebook) return nullptr;
  }
  Json list = Json::array();
  for (const float value : values) list.push_back(value);
  return list;
}

std::int64_t total_multiply_accumulates(const engine::Engine& engine) {
  std::int64_t total = 0;
  for (const engine::LayerInfo& layer : engine.layers()) total += layer.multiply_accumulates;
  return total;
}

/// The rows of the last stage that has any, or what was evaluated in a last stage without epochs.
std::vector<Json> last_stage(const std::vector<Json>& rows, const Json& initial) {
  if (!initial.is_null()) return {initial};
  std::vector<Json> last;
  for (const Json& row : rows)
    if (row["stage"] == rows.back()["stage"]) last.push_back(row);
  return last;
}

/// The row with the best number under `key`, the last of equals; an empty one without rows.
Json best_row(const std::vector<Json>& rows, const std::string& key, bool lowest) {
  Json best = Json::object();
  for (const Json& row : rows)
    if (best.empty() || (lowest ? row[key] <= best[key] : row[key] >= best[key])) best = row;
  return best;
}

std::string percent(const Json& fraction) {
  return fraction.is_number() ? fmt::format("{:.2f} %", 100 * fraction.get<double>()) : "-";
}

std::string two_decimals(const Json& number) {
  return number.is_number() ? fmt::format("{:.2f}", number.get<double>()) : "-";
}

/// A key as words.
std::string spaced(std::string key) {
  std::ranges::replace(key, '_', ' ');
  return key;
}

/// "91.24 %", "perplexity 92.50", "loss 1.2680"
std::string expected_text(const Json& expected) {
  if (expected.contains("val_perplexity")) return "perplexity " + two_decimals(expected["val_perplexity"]);
  if (expected.contains("val_loss")) return fmt::format("loss {:.4f}", expected["val_loss"].get<double>());
  return percent(expected.contains("test_accuracy") ? expected["test_accuracy"] : expected["val_accuracy"]);
}

}  // namespace

Json perplexity(const Json& loss) {
  const double value = loss.is_number() ? std::exp(loss.get<double>()) : INFINITY;
  return std::isfinite(value) ? Json(value) : Json();
}

Json epoch_row(const train::EpochRecord& record, bool language_model) {
  Json row;
  row["epoch"] = record.epoch;
  row["stage"] = record.stage;
  row["learning_rate"] = record.learning_rate;
  const auto add = [&](const std::string& split, double loss, double accuracy) {
    row[split + "_loss"] = loss;
    if (language_model) row[split + "_perplexity"] = perplexity(loss);
    row[split + "_accuracy"] = accuracy;
  };
  add("train", record.train_loss, record.train_accuracy);
  add("val", record.val_loss, record.val_accuracy);
  add("quantized_val", record.quantized_val_loss, record.quantized_val_accuracy);
  add("float_val", record.float_val_loss, record.float_val_accuracy);
  if (record.test) {
    add("test", record.test->loss, record.test->accuracy);
    add("quantized_test", record.test->quantized_loss, record.test->quantized_accuracy);
  }
  if (record.traffic)
    row["traffic"] = {{"steps", record.traffic->steps},
                      {"sent_bytes", record.traffic->sent},
                      {"sent_bytes_in_float32", record.traffic->sent_in_floats},
                      {"received_bytes", record.traffic->received},
                      {"received_bytes_in_float32", record.traffic->received_in_floats}};
  for (const auto& [name, values] : record.learned) row["learned"][name] = values;
  if (!record.change) return row;
  row["sign_changes"] = record.change->sign_changes;
  row["quantization_error"] = record.change->quantization_error;
  row["layer_sign_changes"] = record.change->layer_sign_changes;
  row["layer_quantization_error"] = record.change->layer_quantization_error;
  row["layer_levels"] = record.change->layer_levels;
  return row;
}

Json dataset_section(const datasets::DatasetSpec& asked, const datasets::Loaded& loaded) {
  Json section;
  section["requested"] = asked.name;
  section["used"] = loaded.dataset.name;
  section["sha256"] = loaded.dataset.sha256;
  if (loaded.dataset.is_text()) {
    section["train_tokens"] = loaded.dataset.train_text.tokens.size();
    section["test_tokens"] = loaded.dataset.test_text.tokens.size();
    return section;
  }
  section["train_images"] = loaded.dataset.train.count;
  if (loaded.dataset.held_out.count > 0) section["held_out_images"] = loaded.dataset.held_out.count;
  section["test_images"] = loaded.dataset.test.count;
  return section;
}

Json model_section(const model::Graph& graph, const engine::Engine& engine) {
  std::int64_t parameters = 0;
  Json layers = Json::array();
  for (const engine::LayerInfo& info : engine.layers()) {
    parameters += info.parameters;
    Json& layer = layers.emplace_back();
    layer["name"] = info.name;
    layer["op"] = info.op;
    layer["output"] = info.output;
    layer["parameters"] = info.parameters;
    if (info.weight_bits == 0) continue;
    layer["multiply_accumulates"] = info.multiply_accumulates;
    layer["weight_bits"] = info.weight_bits;
    layer["activation_bits"] = info.activation_bits;
    for (const engine::ParameterSlot& slot : engine.slots())
      if (slot.method != nullptr && slot.name == info.name + ".weight")
        layer["codebook"] = codebook(engine.used(slot));
  }
  Json section;
  section["name"] = graph.name;
  section["parameters"] = parameters;
  section["multiply_accumulates"] = total_multiply_accumulates(engine);
  section["layers"] = std::move(layers);
  return section;
}

Json communication_section(const dist::WorkerSpec& workers, const std::vector<Json>& rows) {
  std::int64_t steps = 0;
  Json section;
  section["workers"] = workers.count;
  section["protocol"] = workers.protocol == dist::Protocol::all_reduce ? "all_reduce" : "parameter_server";
  for (const Json& row : rows)
    if (row.contains("traffic")) steps += row["traffic"]["steps"].get<std::int64_t>();
  if (steps == 0) return nullptr;
  section["steps"] = steps;
  for (const char* direction : {"sent", "received"}) {
    const std::string bytes = std::string(direction) + "_bytes", in_float32 = bytes + "_in_float32";
    std::int64_t sum = 0, floats = 0;
    for (const Json& row : rows) {
      if (!row.contains("traffic")) continue;
      sum += row["traffic"][bytes].get<std::int64_t>();
      floats += row["traffic"][in_float32].get<std::int64_t>();
    }
    Json& part = section[direction];
    part["bytes"] = sum;
    part["bytes_per_step"] = static_cast<double>(sum) / static_cast<double>(steps);
    part["share_of_float32"] =
        floats > 0 ? Json(static_cast<double>(sum) / static_cast<double>(floats)) : Json();
  }
  return section;
}

Json result_section(const std::string& status, const std::vector<Json>& rows, const Json& initial,
                    const RowKinds& kinds) {
  Json last = Json::object();  // diverged before the first epoch's end: nothing is known
  if (!rows.empty()) last = rows.back();
  if (!initial.is_null()) last = initial;
  Json result;
  result["status"] = status;
  std::vector<std::string> splits = {"train", "val", "quantized_val", "float_val"};
  if (kinds.tested) splits.insert(splits.end(), {"test", "quantized_test"});
  for (const std::string& split : splits)
    for (const char* kind : {"_loss", "_perplexity", "_accuracy"})
      if (kinds.language_model || std::string_view(kind) != "_perplexity")
        result[split + kind] = last.value(split + kind, Json());
  const std::vector<Json> candidates = last_stage(rows, initial);
  Json best = best_row(candidates, "val_accuracy", false);
  result["best_val_accuracy"] = best.value("val_accuracy", Json());
  if (kinds.tested) {
    const Json quantized = best_row(candidates, "quantized_val_accuracy", false);
    result["best_quantized_val_accuracy"] = quantized.value("quantized_val_accuracy", Json());
    result["test_accuracy_at_best_val"] = best.value("test_accuracy", Json());
    result["quantized_test_accuracy_at_best_val"] = quantized.value("quantized_test_accuracy", Json());
    result["best_quantized_epoch"] = quantized.value("epoch", 0);
  }
  if (kinds.language_model) {
    best = best_row(candidates, "val_loss", true);
    result["best_val_perplexity"] = best.value("val_perplexity", Json());
  }
  result["best_epoch"] = best.value("epoch", 0);
  result["epochs"] = rows.size();
  return result;
}

Json expected_section(const ExperimentSpec& experiment, const Json& result) {
  if (!experiment.expect) return nullptr;
  const Expectation& expect = *experiment.expect;
  Json section;
  section[expect.metric] = expect.value;
  section["tolerance"] = expect.tolerance;
  if (!expect.weights.empty()) section["weights"] = expect.weights;
  section["source"] = expect.source;
  section["status"] = expect.status;
  const Json reached = result.value(expect.reached_key(), Json());
  section["met"] =
      result.value("status", "") == "done" && reached.is_number() && expect.met(reached.get<double>());
  return section;
}

void add_machine(Json& timing) {
  timing["host"] = host_name();
  timing["cpu"] = cpu_model();
  timing["versions"] = {{"qtrain", kVersion},
                        {"program", program_digest()},
                        {"onednn", engine::onednn_version()},
                        {"compiler", __VERSION__}};
}

Json timing_document(const model::Graph& graph, const engine::Engine& engine, const train::Clock& clock,
                     double seconds) {
  const auto rate = [](std::int64_t targets, double time) {
    return targets > 0 && time > 0 ? Json(static_cast<double>(targets) / time) : Json();
  };
  const double peak = measure_peak(engine.threads());
  const Json train_rate = rate(clock.train_targets, clock.train_seconds);
  const std::string per_second =
      train::is_language_model(graph) ? "_tokens_per_second" : "_images_per_second";
  Json timing;
  timing["schema"] = 1;
  timing["train" + per_second] = train_rate;
  timing["eval" + per_second] = rate(clock.eval_targets, clock.eval_seconds);
  timing["seconds"] = seconds;
  timing["train_seconds"] = clock.train_seconds;
  timing["eval_seconds"] = clock.eval_seconds;
  timing["peak_memory_bytes"] = peak_memory_bytes();
  timing["engine_memory_bytes"] = engine.memory_bytes();
  timing["threads"] = engine.threads();
  timing["isa"] = kernels::active().isa;
  timing["peak_multiply_adds_per_second"] = peak;
  // Backward takes as many multiply-adds to the inputs and as many to the weights as forward.
  const double macs = 3 * static_cast<double>(total_multiply_accumulates(engine)) / graph.targets;
  timing["share_of_peak"] = train_rate.is_null() ? Json() : Json(macs * train_rate.get<double>() / peak);
  add_machine(timing);
  timing["layers"] = Json::array();
  for (const engine::LayerInfo& layer : engine.layers()) {
    if (layer.path.empty()) continue;
    Json row = {{"name", layer.name}, {"path", layer.path}};
    if (!layer.implementation.empty()) row["float_implementation"] = layer.implementation;
    for (const auto& [path, time] : layer.measured) row["shard_milliseconds"][path] = 1e3 * time;
    timing["layers"].push_back(std::move(row));
  }
  return timing;
}

std::vector<std::string> result_table(const Json& metrics) {
  const Json& result = metrics["result"];
  std::vector<std::string> lines;
  const auto row = [&lines](const std::string& name, const std::string& value) {
    lines.push_back(fmt::format("  {:<26}{}", name, value));
  };
  lines.push_back(metrics["name"].get<std::string>());
  row("status", result["status"].get<std::string>());
  const Json& dataset = metrics["dataset"];
  const std::string used = dataset["used"].get<std::string>();
  const bool stand_in = dataset["used"] != dataset["requested"];
  row("dataset",
      stand_in ? fmt::format("{} in place of {}", used, dataset["requested"].get<std::string>()) : used);
  row("epochs", result["epochs"].dump());
  if (result.contains("seeds")) row("seeds", result["seeds"].dump());
  if (result.value("diverged_seeds", 0) > 0) row("  diverged", result["diverged_seeds"].dump());
  const auto deviation_of = [&](const std::string& key, std::string (*text)(const Json&)) {
    if (result.contains(key + "_deviation")) row("  standard deviation", text(result[key + "_deviation"]));
  };
  const auto rows_of = [&](const std::string& kind, std::string (*text)(const Json&)) {
    for (const std::string_view split : {"train", "val", "quantized_val", "best_val"}) {
      const std::string key = fmt::format("{}_{}", split, kind);
      row(spaced(key), text(result[key]));
      if (split.ends_with("val") && split != "best_val") deviation_of(key, text);
    }
  };
  if (result.contains("val_perplexity")) rows_of("perplexity", two_decimals);
  rows_of("accuracy", percent);
  if (result.contains("test_accuracy"))
    for (std::string key : {"test_accuracy", "quantized_test_accuracy"}) {
      row(spaced(key), percent(result[key]));
      const Json epoch = result.value(key == "test_accuracy" ? "best_epoch" : "best_quantized_epoch", Json());
      key += "_at_best_val";
      row(epoch.is_null() ? "  at the best val" : fmt::format("  best val, epoch {}", epoch.get<int>()),
          percent(result[key]));
      deviation_of(key, percent);
    }
  if (metrics.contains("communication"))
    for (const char* direction : {"sent", "received"}) {
      const Json& part = metrics["communication"][direction];
      if (!part["share_of_float32"].is_number()) continue;
      row(direction,
          fmt::format("{:.3g} MB a step, 1/{:.1f} of float32", part["bytes_per_step"].get<double>() / 1e6,
                      1 / part["share_of_float32"].get<double>()));
    }
  const Json& expected = metrics["expected"];
  if (expected.is_object())
    row("expected",
        fmt::format("{}{}, {} ({})", expected_text(expected),
                    expected.value("weights", "") == "training" ? " with the weights of training" : "",
                    expected["met"].get<bool>() ? "met" : "not met", expected["source"].get<std::string>()));
  return lines;
}

}  // namespace qtrain::run
