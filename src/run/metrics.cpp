#include "run/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
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

std::string percent(const Json& fraction) {
  return fraction.is_number() ? fmt::format("{:.2f} %", 100 * fraction.get<double>()) : "-";
}

}  // namespace

Json epoch_row(const train::EpochRecord& record) {
  Json row;
  row["epoch"] = record.epoch;
  row["stage"] = record.stage;
  row["learning_rate"] = record.learning_rate;
  row["train_loss"] = record.train_loss;
  row["train_accuracy"] = record.train_accuracy;
  row["val_loss"] = record.val_loss;
  row["val_accuracy"] = record.val_accuracy;
  row["quantized_val_loss"] = record.quantized_val_loss;
  row["quantized_val_accuracy"] = record.quantized_val_accuracy;
  row["float_val_loss"] = record.float_val_loss;
  row["float_val_accuracy"] = record.float_val_accuracy;
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

Json result_section(const std::string& status, const std::vector<Json>& rows, const Json& initial) {
  Json last = Json::object();  // diverged before the first epoch's end: nothing is known
  if (!rows.empty()) last = rows.back();
  if (!initial.is_null()) last = initial;
  Json result;
  result["status"] = status;
  for (const char* key : {"train_loss", "train_accuracy", "val_loss", "val_accuracy", "quantized_val_loss",
                          "quantized_val_accuracy", "float_val_loss", "float_val_accuracy"})
    result[key] = last.value(key, Json());
  Json best = last.value("val_accuracy", Json());
  Json best_epoch = rows.empty() ? Json(0) : Json();
  for (const Json& row : rows) {
    const bool better = best_epoch.is_null() || row["val_accuracy"] > best;
    if (!better) continue;
    best = row["val_accuracy"];
    best_epoch = row["epoch"];
  }
  result["best_val_accuracy"] = best;
  result["best_epoch"] = best_epoch;
  result["epochs"] = rows.size();
  return result;
}

Json expected_section(const ExperimentSpec& experiment, const Json& accuracy) {
  if (!experiment.expect) return nullptr;
  const Expectation& expect = *experiment.expect;
  Json section;
  section["val_accuracy"] = expect.val_accuracy;
  section["tolerance"] = expect.tolerance;
  section["source"] = expect.source;
  section["status"] = expect.status;
  section["met"] = accuracy.is_number() && accuracy.get<double>() >= expect.val_accuracy - expect.tolerance;
  return section;
}

void add_machine(Json& timing) {
  timing["host"] = host_name();
  timing["cpu"] = cpu_model();
  timing["versions"] = {
      {"qtrain", kVersion}, {"onednn", engine::onednn_version()}, {"compiler", __VERSION__}};
}

Json timing_document(const engine::Engine& engine, const train::Clock& clock, double seconds) {
  const auto rate = [](std::int64_t images, double time) {
    return images > 0 && time > 0 ? Json(static_cast<double>(images) / time) : Json();
  };
  const double peak = measure_peak(engine.threads());
  const Json train_rate = rate(clock.train_images, clock.train_seconds);
  Json timing;
  timing["schema"] = 1;
  timing["train_images_per_second"] = train_rate;
  timing["eval_images_per_second"] = rate(clock.eval_images, clock.eval_seconds);
  timing["seconds"] = seconds;
  timing["train_seconds"] = clock.train_seconds;
  timing["eval_seconds"] = clock.eval_seconds;
  timing["peak_memory_bytes"] = peak_memory_bytes();
  timing["engine_memory_bytes"] = engine.memory_bytes();
  timing["threads"] = engine.threads();
  timing["isa"] = kernels::active().isa;
  timing["peak_multiply_adds_per_second"] = peak;
  // Backward takes as many multiply-adds to the inputs and as many to the weights as forward.
  const double step_macs = 3 * static_cast<double>(total_multiply_accumulates(engine));
  timing["share_of_peak"] = train_rate.is_null() ? Json() : Json(step_macs * train_rate.get<double>() / peak);
  add_machine(timing);
  timing["layers"] = Json::array();
  for (const engine::LayerInfo& layer : engine.layers()) {
    if (layer.path.empty()) continue;
    Json row = {{"name", layer.name}, {"path", layer.path}};
    for (const auto& [path, time] : layer.measured) row["shard_milliseconds"][path] = 1e3 * time;
    timing["layers"].push_back(std::move(row));
  }
  return timing;
}

std::vector<std::string> result_table(const Json& metrics) {
  const Json& result = metrics["result"];
  std::vector<std::string> lines;
  const auto row = [&lines](const char* name, const std::string& value) {
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
  row("train accuracy", percent(result["train_accuracy"]));
  row("val accuracy", percent(result["val_accuracy"]));
  if (result.contains("val_accuracy_deviation"))
    row("  standard deviation", percent(result["val_accuracy_deviation"]));
  row("quantized val accuracy", percent(result["quantized_val_accuracy"]));
  row("best val accuracy", percent(result["best_val_accuracy"]));
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
        fmt::format("{}, {} ({})", percent(expected["val_accuracy"]),
                    expected["met"].get<bool>() ? "met" : "not met", expected["source"].get<std::string>()));
  return lines;
}

}  // namespace qtrain::run
