#pragma once
#include <memory>
#include <string>
#include <vector>

#include "train/trainer.hpp"

// What the tests of training share.

namespace qtrain::train::test {

using Words = std::vector<std::string>;

inline const Words kQuantized = {"weights.method=binary_connect", "activations.quantizer=quantized_relu",
                                 "activations.alpha=learned"};
inline const Words kSgd = {"optimizer.name=sgd", "optimizer.learning_rate=0.05", "optimizer.momentum=0.9"};
inline const Words kAdam = {"optimizer.name=adam", "optimizer.learning_rate=0.01"};

inline Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// A small experiment on generated images, with every object a Stage points to.
struct Experiment {
  explicit Experiment(const Words& overrides = kQuantized + kSgd) {
    const Words words = Words{"dataset.name=shapes10", "dataset.batch_size=32",     "dataset.limit.train=160",
                              "dataset.limit.test=64", "dataset.augment.flip=true", "model.name=mlp",
                              "model.widths=[24]"} +
                        overrides;
    spec::Document document = spec::Document::parse("{}", "test", words);
    spec::Reader root = document.root();
    dataset.read(root.group("dataset", ""));
    loaded = datasets::load(dataset);
    const datasets::Entry& entry = *datasets::find(dataset.name);
    graph = model.read(root.group("model", ""), dataset.sample_shape(entry), entry.classes);
    weights.read(root.group("weights", ""));
    activations.read(root.group("activations", ""));
    gradients.read(root.group("gradients", ""));
    workers.read(root.group("workers", ""));
    transport = dist::make_simulated(workers.count);
    loader = dataset;
    if (workers.batch_each) loader.batch_size *= workers.count;
    optimizer.read(root.group("optimizer", ""));
    schedule.read(root.group("schedule", ""));
    document.diagnostics().throw_if_any();
  }

  Stage stage(int epochs = 2, int threads = 1) const {
    Stage result;
    result.graph = &graph;
    const std::vector<model::Parameter> parameters = model::parameters(graph);
    result.quantization.weights.resize(parameters.size());
    for (std::size_t i = 0; i < parameters.size(); ++i)
      if (weights.method != "none" && parameters[i].kind == model::Parameter::Kind::weight)
        result.quantization.weights[i] = weights.make;
    result.quantization.activations = activations.make;
    result.quantization.ste = activations.make_ste;
    result.options = {.threads = threads,
                      .shard = 8,
                      .batch = (loader.batch_size + workers.count - 1) / workers.count,
                      .seed = 5};
    result.quantization.propagated = gradients.make.propagated;
    result.gradients = &gradients;
    result.workers = &workers;
    result.transport = transport.get();
    result.optimizer = &optimizer;
    result.schedule = &schedule;
    result.loader = &loader;
    result.average_decay = average_decay;
    result.epochs = epochs;
    return result;
  }

  double average_decay = 0;
  datasets::DatasetSpec dataset, loader;
  datasets::Loaded loaded;
  model::ModelSpec model;
  model::Graph graph;
  quant::WeightSpec weights;
  quant::ActivationSpec activations;
  quant::GradientSpec gradients;
  dist::WorkerSpec workers;
  std::unique_ptr<dist::Transport> transport;
  optim::OptimizerSpec optimizer;
  optim::ScheduleSpec schedule;
};

inline const Watch go_on = [](const Progress&) { return true; };

inline bool same_bytes(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].name != b[i].name || a[i].shape != b[i].shape || a[i].bytes != b[i].bytes) return false;
  return true;
}

inline std::vector<double> numbers(const EpochRecord& r) {
  std::vector<double> values = {r.train_loss, r.train_accuracy, r.val_loss, r.val_accuracy,
                                r.quantized_val_loss};
  if (r.change) values.insert(values.end(), {r.change->sign_changes, r.change->quantization_error});
  return values;
}

}  // namespace qtrain::train::test
