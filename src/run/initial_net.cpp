#include "run/initial_net.hpp"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <utility>

#include "base/cast.hpp"
#include "base/error.hpp"
#include "base/sha256.hpp"
#include "run/run_file.hpp"
#include "train/trainer.hpp"
#include "train/weights.hpp"

namespace qtrain::run {
namespace {

std::string sha256_of(const SafetensorsFile& file) {
  Sha256 digest;
  const auto add = [&digest](const auto& bytes) {
    digest.update({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  };
  for (const NamedTensor& tensor : file.tensors) {
    add(tensor.name);
    add(tensor.bytes);
  }
  return digest.hex();
}

/// Whether `qtrain export` made the file, of a net with quantized weights.
bool is_exported(const SafetensorsFile& file) {
  return std::ranges::any_of(file.tensors,
                             [](const NamedTensor& tensor) { return tensor.name.ends_with("/bits"); });
}

/// Of a checkpoint the weight method whose latents it holds, if those are no weights; else "".
std::string method_of_latents(const SafetensorsFile& file) {
  try {
    const auto index = narrow<std::size_t>(train::Trainer::stage_of(file));
    spec::Document document = spec::Document::parse(file.metadata.at("spec"), "spec");
    const quant::WeightSpec weights = read_experiment(document).stages.at(index).weights;
    const std::unique_ptr<quant::WeightMethod> method = weights.make({"weight", {1, 1}});
    const bool rescaled = method->latent_kind() == quant::LatentKind::rescaled;
    return rescaled || method->latents_per_weight() > 1 ? weights.method : "";
  } catch (const std::exception&) {
    return "";  // no checkpoint, or one of another program: its tensors will fit or not
  }
}

/// Files of this program that hold no weights to start from.
void require_weights(const SafetensorsFile& file, const std::string& path) {
  if (is_exported(file))
    fail(ExitCode::data,
         "model.init is {}, an exported file, which is for eval alone: name the final.safetensors or "
         "checkpoint.safetensors of its run",
         path);
  const std::string method = method_of_latents(file);
  if (!method.empty())
    fail(ExitCode::data,
         "model.init is {}, the checkpoint of a net trained by {}, whose latents are no weights: name the "
         "final.safetensors of its run",
         path, method);
}

}  // namespace

void require_initial_files(const StageSpec& stage) {
  for (const auto& [key, file] :
       {std::pair("model.init", &stage.model.init), {"quantize.init", &stage.quantizer_init}}) {
    if (file->empty() || (std::filesystem::is_regular_file(*file) && std::ifstream(*file).good())) continue;
    fail(ExitCode::data,
         "{} is {}, which is no file that can be read: name the checkpoint.safetensors or "
         "final.safetensors of a run",
         key, *file);
  }
}

InitialNet load_initial_net(const StageSpec& stage) {
  InitialNet net;
  if (!stage.model.init.empty()) {
    net.weights = load_run_file(stage.model.init);
    require_weights(net.weights, stage.model.init);
    net.sha256["model.init"] = sha256_of(net.weights);
  }
  if (!stage.quantizer_init.empty()) {
    net.quantizers = load_run_file(stage.quantizer_init);
    net.sha256["quantize.init"] = sha256_of(net.quantizers);
  }
  return net;
}

std::vector<NamedTensor> initial_tensors(const InitialNet& net, const StageSpec& stage,
                                         const engine::Engine& engine) {
  std::vector<NamedTensor> tensors = net.weights.tensors;
  if (!stage.quantizer_init.empty())
    train::take_quantizers(tensors, engine, net.quantizers.tensors, stage.quantizer_init);
  return tensors;
}

}  // namespace qtrain::run
