#include "run/rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace qtrain::run {
namespace {

bool has_layer(const model::Graph& graph, model::Op op) {
  return std::ranges::count(graph.layers, op, &model::Layer::op) > 0;
}

}  // namespace

using Json = nlohmann::ordered_json;

void check_dataset(spec::Reader keys, const datasets::DatasetSpec& dataset, const datasets::Entry& entry) {
  const datasets::Entry* stand_in = dataset.if_missing.empty() ? nullptr : datasets::find(dataset.if_missing);
  if (stand_in != nullptr && stand_in->text == entry.text && !datasets::can_stand_in(*stand_in, entry))
    keys.mistake("if_missing",
                 fmt::format("is {} ({}), must have the {} of {} ({})", stand_in->name,
                             datasets::shape_text(*stand_in), entry.text ? "vocabulary" : "images",
                             entry.name, datasets::shape_text(entry)));
  const int images = dataset.train_count(entry);
  if (!entry.text && images > 0 && dataset.batch_size > images)
    keys.mistake("batch_size",
                 fmt::format("is {}, must be at most the {} training images{}", dataset.batch_size, images,
                             dataset.held_out > 0 ? " that are not held out" : ""));
}

void check_curvature(spec::Reader quantize, const StageSpec& stage) {
  if (stage.train.optimizer.rule->second_moment_slot() >= 0) return;
  if (!stage.weights.make({"weight", {1, 1}})->wants_second_moment()) return;
  quantize.mistake("weights", fmt::format("has method {}, which weighs by the optimizer's second moment, and "
                                          "{} keeps none: must be trained with adam or rms_prop, or have "
                                          "curvature accumulator",
                                          stage.weights.method, stage.train.optimizer.name));
}

void check_average(spec::Reader train, const StageSpec& stage) {
  if (stage.train.average_decay <= 0) return;
  if (stage.weights.make({"weight", {1, 1}})->latent_kind() != quant::LatentKind::rescaled) return;
  train.mistake("average_decay",
                fmt::format("is {}, must be 0 with weights by {}, whose latents are of another "
                            "unit after each step",
                            stage.train.average_decay, stage.weights.method));
}

void check_activations(spec::Reader quantize, const StageSpec& stage) {
  if (!stage.activations.make || has_layer(stage.graph, model::Op::activation)) return;
  quantize.mistake("activations", fmt::format("has quantizer {}, and {} has no activation layer to quantize: "
                                              "must have quantizer none",
                                              stage.activations.quantizer, stage.graph.name));
}

void check_gradients(spec::Reader quantize, const StageSpec& stage) {
  const quant::GradientSpec& gradients = stage.gradients;
  if (gradients.make.propagated && has_layer(stage.graph, model::Op::lstm))
    quantize.mistake(
        "gradients",
        fmt::format("has method {}, which quantizes gradients of layers' outputs, and {} has lstm "
                    "layers, whose recurrent weights it does not reach: must have another method",
                    gradients.method, stage.graph.name));
  if (gradients.make.is_step && !stage.train.optimizer.is_plain())
    quantize.mistake(
        "gradients",
        fmt::format("has method {}, which remembers the error of steps of -learning_rate times "
                    "the gradient, and {} makes others: must be trained with sgd, momentum 0, and "
                    "without clip_norm and clip_value",
                    gradients.method, stage.train.optimizer.name));
}

void check_stage(spec::Reader root, const Json& base, const Json& stage, std::size_t index) {
  for (const char* key : {"name", "seed", "seeds", "model", "workers", "expect"})
    if (base.value(key, Json()) != stage.value(key, Json()))
      root.mistake(key, "differs from the experiment's, must be the same in every stage");
  for (const std::string key : {"dataset.name", "dataset.root", "dataset.limit", "dataset.held_out",
                                "dataset.if_missing", "dataset.augment.crop", "dataset.sequence",
                                "dataset.evaluate", "engine.precision", "quantize.init"}) {
    if (key == "quantize.init" && index == 0) continue;  // with model.init, where the first stage starts
    std::string place = "/" + key;
    std::ranges::replace(place, '.', '/');
    const Json::json_pointer pointer(place);
    if (base.value(pointer, Json()) == stage.value(pointer, Json())) continue;
    const std::size_t dot = key.find('.');
    root.mistake(key.substr(0, dot),
                 fmt::format("changes {}, must be the same in every stage", key.substr(dot + 1)));
  }
}

}  // namespace qtrain::run
