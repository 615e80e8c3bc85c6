#pragma once
#include <functional>

#include "datasets/dataset.hpp"
#include "dist/worker_spec.hpp"
#include "engine/engine.hpp"
#include "optim/optimizer.hpp"
#include "quant/gradient.hpp"

namespace qtrain::train {

/// Whether samples are sequences of tokens, and targets therefore tokens.
inline bool is_language_model(const model::Graph& graph) { return graph.input.size() == 1; }

/// One stage of training, ready to run. What the pointers name must outlive the Trainer.
struct Stage {
  const model::Graph* graph = nullptr;
  engine::Quantization quantization;
  engine::Loss loss;
  engine::Options options;
  const optim::OptimizerSpec* optimizer = nullptr;
  const optim::ScheduleSpec* schedule = nullptr;
  const quant::GradientSpec* gradients = nullptr;
  const dist::WorkerSpec* workers = nullptr;
  dist::Transport* transport = nullptr;
  const datasets::DatasetSpec* loader = nullptr;  ///< samples a step, order, augmentation
  std::function<bool(const engine::ParameterSlot&)>
      decays;                ///< has weight decay; empty: all but learned ones
  double average_decay = 0;  ///< of the averages that are evaluated instead of the latents; 0: none
  int epochs = 0;
  int index = 0;                ///< 0-based, among the stages
  int first_epoch = 0;          ///< epochs of the stages before
  std::int64_t first_step = 0;  ///< steps of theirs
};

}  // namespace qtrain::train
