#pragma once
#include <cstdint>
#include <vector>

#include "engine/engine.hpp"
#include "run/experiment.hpp"
#include "train/updater.hpp"

namespace qtrain::run {

/// An experiment's network in training on one random batch that stays in memory. `experiment` must outlive
/// it.
class BenchSubject {
 public:
  BenchSubject(const ExperimentSpec& experiment, int threads, int batch);

  /// Seconds of one training step: weights, forward, backward, optimizer, settling.
  double train_seconds();
  double evaluate_seconds();
  engine::Engine& engine() { return engine_; }

 private:
  const StageSpec& stage_;
  int batch_;
  engine::Engine engine_;
  train::Updater updater_;
  std::vector<float> images_;
  std::vector<std::int32_t> labels_;
  std::int64_t step_ = 0;
};

}  // namespace qtrain::run
