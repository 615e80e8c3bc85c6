#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>

#include "base/error.hpp"
#include "base/file.hpp"
#include "kernels/kernels.hpp"
#include "run/json_text.hpp"
#include "run/metrics.hpp"
#include "run/run.hpp"
#include "run/run_file.hpp"
#include "run/trained_net.hpp"

namespace qtrain::run {
namespace {

struct Sums {
  double loss = 0, seconds = 0;
  std::int64_t correct = 0, count = 0;
};

Sums evaluate(TrainedNet& net) {
  datasets::Loader loader(net.data().dataset, datasets::Split::test, net.loader());
  Sums sums;
  datasets::Batch batch;
  net.engine().start_sequences(net.loader().batch_size);
  loader.start({.seed = 0, .epoch = 0});
  while (loader.next(batch)) {
    const auto started = std::chrono::steady_clock::now();
    const engine::BatchResult result = net.engine().evaluate(batch.images, batch.labels);
    sums.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    sums.loss += result.loss;
    sums.correct += result.correct;
    sums.count += result.count;
  }
  return sums;
}

/// "int8 19, float32 2": layers by the path they run on.
std::string paths_text(const engine::Engine& engine) {
  std::map<std::string, int> counts;
  for (const engine::LayerInfo& layer : engine.layers())
    if (!layer.path.empty()) ++counts[layer.path];
  std::string text;
  for (const auto& [path, count] : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", path, count);
  return text;
}

}  // namespace

int evaluate_file(const EvaluationRequest& request) {
  std::vector<std::string> overrides = request.overrides;
  if (!request.low_bit.empty()) overrides.push_back("engine.low_bit=" + request.low_bit);
  TrainedNet net(request.path, overrides, request.batch);
  for (const std::string& line : net.warnings()) fmt::print(stderr, "warning: {}\n", line);
  if (!net.data().warning.empty()) fmt::print(stderr, "warning: {}\n", net.data().warning);
  evaluate(net);  // warms caches up and compiles what is compiled at first use
  const Sums sums = evaluate(net);
  const auto count = static_cast<double>(sums.count);
  const bool language_model = train::is_language_model(net.stage().graph);
  const std::string targets = language_model ? "tokens" : "images";
  Json result;
  result["model"] = net.stage().graph.name;
  result["dataset"] = net.data().dataset.name;
  result[targets] = sums.count;
  result["accuracy"] = static_cast<double>(sums.correct) / count;
  result["loss"] = sums.loss / count;
  if (language_model) result["perplexity"] = perplexity(result["loss"]);
  result[targets + "_per_second"] = count / sums.seconds;
  result["batch"] = net.loader().batch_size;
  result["threads"] = net.engine().threads();
  result["isa"] = kernels::active().isa;
  result["paths"] = paths_text(net.engine());
  if (request.json) {
    fmt::print("{}", indented_text(result));
    return static_cast<int>(ExitCode::done);
  }
  fmt::print("{} on {} {} of {}\n", result["model"].get<std::string>(), sums.count, targets,
             net.data().dataset.name);
  fmt::print("  accuracy    {:.2f} %\n  loss        {:.4f}\n", 100 * result["accuracy"].get<double>(),
             result["loss"].get<double>());
  if (language_model) fmt::print("  perplexity  {:.2f}\n", std::exp(result["loss"].get<double>()));
  fmt::print("  speed       {:.0f} {}/s, batch {}, {} threads, {}\n",
             result[targets + "_per_second"].get<double>(), targets, net.loader().batch_size,
             net.engine().threads(), kernels::active().isa);
  fmt::print("  layers      {}\n", result["paths"].get<std::string>());
  return static_cast<int>(ExitCode::done);
}

int export_file(const std::string& path, const std::string& out) {
  if (std::filesystem::exists(out)) fail(ExitCode::usage, "{} exists: remove it or name another file", out);
  TrainedNet net(path);
  SafetensorsFile file;
  file.tensors = packed_tensors(net.engine());
  file.metadata["spec"] = net.spec();
  std::size_t quantized = 0, packed = 0;
  for (const engine::ParameterSlot& slot : net.engine().slots())
    if (slot.method != nullptr) quantized += net.engine().used(slot).size();
  for (const NamedTensor& tensor : file.tensors)
    if (tensor.name.find('/') != std::string::npos) packed += tensor.bytes.size();
  save_run_file(out, file);
  if (quantized > 0)
    fmt::print("{} quantized weights in {} bytes, {:.2f} bits each with their scales\n", quantized, packed,
               8.0 * static_cast<double>(packed) / static_cast<double>(quantized));
  fmt::print("{}\n", out);
  return static_cast<int>(ExitCode::done);
}

}  // namespace qtrain::run
