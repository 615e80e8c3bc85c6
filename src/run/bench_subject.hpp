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
  const engine::Engine& engine() const { return engine_; }

  /// Where the time of training steps went, summed over steps.
  struct Times {
    double whole = 0;
    double updates = 0;        ///< of it weights from latent ones and back, and the optimizer
    engine::Profile passes{};  ///< of the rest
  };
  void reset_times();
  Times times() const;

 private:
  const StageSpec& stage_;
  int batch_;
  engine::Engine engine_;
  double whole_ = 0, passes_ = 0;  ///< seconds
  train::Updater updater_;
  std::vector<float> images_;
  std::vector<std::int32_t> labels_;
  std::int64_t step_ = 0;
};

}  // namespace qtrain::run
