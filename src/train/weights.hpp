#pragma once
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "tensor/safetensors.hpp"

namespace qtrain::train {

/// The network as used for inference: each slot's used values (so call Engine::use_weights first; with
/// Weights::final for exactly quantized weights) under its parameter name, then the running statistics, and
/// the scales of quantized weights as "NAME/scales".
std::vector<NamedTensor> used_tensors(const engine::Engine& engine);

/// What a next stage continues from: as used_tensors, but of a quantized weight what its method carries over
/// (WeightMethod::carried), and no scales. `context`: of the step that would be next.
std::vector<NamedTensor> carried_tensors(engine::Engine& engine, const quant::WeightContext& context = {});

/// Puts the engine's learned quantizer values into `tensors`, as `quantizers` has them. An Error (data) names
/// `source`, where `quantizers` comes from, and lists those it lacks.
void take_quantizers(std::vector<NamedTensor>& tensors, const engine::Engine& engine,
                     const std::vector<NamedTensor>& quantizers, const std::string& source);

/// Sets parameters and running statistics by name; a quantized weight's latent is what its method makes of
/// the given weights. Learned quantizer values are taken where present: returned are the indices of their
/// slots. An Error (data) names `source` and lists every tensor that is missing, has another shape, or is a
/// parameter of another model.
std::vector<int> load_tensors(engine::Engine& engine, const std::vector<NamedTensor>& tensors,
                              const std::string& source);

}  // namespace qtrain::train
