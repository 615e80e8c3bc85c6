#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "datasets/dataset.hpp"
#include "run/console.hpp"
#include "run/experiment.hpp"
#include "run/folder.hpp"
#include "run/metrics.hpp"
#include "tensor/safetensors.hpp"
#include "train/trainer.hpp"

namespace qtrain::run {

/// One run of an experiment with one seed in one folder, from where its checkpoint stands to its end.
class Session {
 public:
  Session(const ExperimentSpec& experiment, std::int64_t seed, const datasets::Loaded& loaded, Folder& folder,
          Console& console);

  /// Takes up the checkpoint of the folder, if there is one. An Error (usage) lists the keys in which its
  /// spec differs.
  void resume();
  /// Trains all stages and writes the outputs. Exit code: 0, 4 when diverged (metrics are written too), 128 +
  /// signal when stopped (a checkpoint is written).
  int run();
  /// Of a finished run.
  const Json& metrics() const { return metrics_; }

 private:
  bool run_stage(train::Trainer& trainer, int stage);
  train::Trainer make_trainer(int stage) const;
  void start_stage(train::Trainer& trainer, int stage);
  bool after_batch(train::Trainer& trainer, const train::Progress& progress);
  void finish_epoch(train::Trainer& trainer, const train::EpochRecord& record);
  void save_checkpoint(train::Trainer& trainer);
  void write_outputs(train::Trainer& trainer, const std::string& status, const Json& failure);
  int epochs_before(int stage) const;
  double seconds() const;

  const ExperimentSpec& experiment_;
  std::int64_t seed_;
  const datasets::Loaded& loaded_;
  Folder& folder_;
  Console& console_;
  Json resolved_;
  std::vector<Json> history_;
  SafetensorsFile checkpoint_;  ///< to be taken up; empty otherwise
  int first_stage_ = 0;
  std::vector<NamedTensor> carried_;  ///< weights of the stage before
  train::Clock clock_;                ///< of stages and sessions before
  double earlier_seconds_ = 0;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  Json initial_;  ///< evaluation of an experiment without epochs
  Json metrics_;
};

}  // namespace qtrain::run
