#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>

#include "run/experiment.hpp"

namespace qtrain::run {

// Rules between keys of several sections of a spec. What breaks them is a mistake, told to the reader.

/// Between the data set, its stand-in and the batch; `keys` of `dataset`.
void check_dataset(spec::Reader keys, const datasets::DatasetSpec& dataset, const datasets::Entry& entry);
/// Some methods take their curvature from the optimizer's second moment; `quantize` of that section.
void check_curvature(spec::Reader quantize, const StageSpec& stage);
/// Latents that are rescaled have no average over steps; `train` of that section.
void check_average(spec::Reader train, const StageSpec& stage);
/// Between how activations are quantized and the model; `quantize` of that section.
void check_activations(spec::Reader quantize, const StageSpec& stage);
/// Between how gradients are quantized, the model and the optimizer; `quantize` of that section.
void check_gradients(spec::Reader quantize, const StageSpec& stage);
/// What stage `index`, resolved, must share with the whole; `root` of the stage.
void check_stage(spec::Reader root, const nlohmann::ordered_json& base, const nlohmann::ordered_json& stage,
                 std::size_t index);

}  // namespace qtrain::run
