#include "run/initial_net.hpp"

#include <filesystem>
#include <fstream>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "run/run_file.hpp"
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
