#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "datasets/dataset.hpp"
#include "run/console.hpp"
#include "run/experiment.hpp"
#include "run/folder.hpp"
#include "run/initial_net.hpp"
#include "run/metrics.hpp"
#include "tensor/safetensors.hpp"
#include "train/trainer.hpp"

namespace qtrain::run {

/// One run of an experiment with one seed, from where its checkpoint stands to its end. Of several processes
/// the leading one has the folder and writes; the others read the checkpoint from `path`.
class Session {
 public:
  /// `folder` is nullptr in processes that do not lead.
  Session(const ExperimentSpec& experiment, std::int64_t seed, const datasets::Loaded& loaded,
          const std::filesystem::path& path, Folder* folder, dist::Transport& transport, Console& console);

  /// Takes up the checkpoint of the folder, if there is one. An Error (usage) lists the keys in which its
  /// spec differs. Another number of workers is a warning.
  void resume();
  /// Loads what `model.init` and `quantize.init` name, unless a checkpoint was taken up, and returns the
  /// digests that metrics.json will have of them. Before run().
  const Json& find_initial_net();
  /// Trains all stages and writes the outputs. Exit code: 0, 4 when diverged (metrics are written too), 128 +
  /// signal when stopped (a checkpoint is written).
  int run();
  /// Rows of the epochs that are done.
  const std::vector<Json>& history() const { return history_; }
  /// Of a finished run.
  const Json& metrics() const { return metrics_; }

 private:
  std::optional<int> run_stage(train::Trainer& trainer, int stage);
  train::Trainer make_trainer(int stage) const;
  void log_paths(const engine::Engine& engine);
  void start_stage(train::Trainer& trainer, int stage);
  bool after_batch(train::Trainer& trainer, const train::Progress& progress);
  void finish_epoch(train::Trainer& trainer, const train::EpochRecord& record);
  void save_checkpoint(train::Trainer& trainer);
  void write_outputs(train::Trainer& trainer, const std::string& status, const Json& failure);
  bool must_stop() const;
  int epochs_before(int stage) const;
  std::int64_t steps_before(int stage) const;
  double seconds() const;

  const ExperimentSpec& experiment_;
  std::int64_t seed_;
  const datasets::Loaded& loaded_;
  std::filesystem::path path_;
  Folder* folder_;
  dist::Transport& transport_;
  Console& console_;
  bool language_model_;
  Json resolved_;
  std::vector<Json> history_;
  SafetensorsFile checkpoint_;  ///< to be taken up; empty otherwise
  InitialNet initial_net_;      ///< tensors until training starts, digests to the end
  int first_stage_ = 0;
  std::vector<NamedTensor> carried_;  ///< weights of the stage before
  train::Clock clock_;                ///< of stages and sessions before
  double earlier_seconds_ = 0;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  bool stop_agreed_ = false;  ///< some process was asked to stop
  Json initial_;              ///< evaluation of an experiment without epochs
  Json metrics_;
};

}  // namespace qtrain::run
