#pragma once
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/engine.hpp"
#include "run/experiment.hpp"
#include "tensor/safetensors.hpp"

namespace qtrain::run {

/// What `model.init` and `quantize.init` of an experiment's first stage name; empty where they name nothing.
struct InitialNet {
  SafetensorsFile weights, quantizers;
  /// The files' keys, each with the SHA-256 of the file's tensors, for metrics.json; null without files. Runs
  /// of one spec whose files changed in between are told apart by them.
  nlohmann::ordered_json sha256;
};

/// An Error (data) unless the files are there and can be opened; reads none.
void require_initial_files(const StageSpec& stage);

InitialNet load_initial_net(const StageSpec& stage);

/// The tensors to start from: those of the weights, with learned values of quantizers in place of theirs.
std::vector<NamedTensor> initial_tensors(const InitialNet& net, const StageSpec& stage,
                                         const engine::Engine& engine);

}  // namespace qtrain::run
