#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "datasets/dataset.hpp"
#include "engine/engine.hpp"
#include "tensor/safetensors.hpp"
#include "train/stage.hpp"
#include "train/updater.hpp"
#include "train/weight_average.hpp"
#include "train/weight_change.hpp"
#include "train/workers.hpp"

namespace qtrain::train {

/// One epoch's numbers; losses are means over targets (images, or the tokens of a text), accuracies
/// fractions.
struct EpochRecord {
  int epoch = 0;             ///< from 1, over all stages
  int stage = 0;             ///< from 1
  double learning_rate = 0;  ///< of the epoch's last step
  double train_loss = 0;     ///< as the weights were when each batch came
  double train_accuracy = 0;
  double val_loss = 0;  ///< with the weights that training uses, on the validation split
  double val_accuracy = 0;
  double quantized_val_loss = 0;  ///< with the exactly quantized weights
  double quantized_val_accuracy = 0;
  double float_val_loss = 0;  ///< with the latents in place of the weights (where there is one a weight)
  double float_val_accuracy = 0;
  /// On the test split, where images are held out for validation.
  struct Test {
    double loss = 0, accuracy = 0;  ///< with the weights that training uses
    double quantized_loss = 0, quantized_accuracy = 0;
  };
  std::optional<Test> test;
  std::vector<std::pair<std::string, std::vector<float>>> learned;  ///< quantizers' learned values, by name
  std::optional<WeightChange> change;                               ///< empty when no weight is quantized
  std::optional<dist::Traffic> traffic;  ///< of the epoch; empty when nothing is exchanged
};

/// Where a pass stands, told after each batch.
struct Progress {
  bool training = true;  ///< false: evaluating
  int epoch = 0;         ///< from 1, over all stages
  int batch = 0;         ///< done
  int batches = 0;
  double loss = 0;  ///< mean over the targets so far
  double targets_per_second = 0;
  std::uint32_t requests = 0;  ///< Requests of any process, when training
};

/// Called after each batch; false asks to stop. When training, the trainer's state is then whole and may be
/// saved.
using Watch = std::function<bool(const Progress&)>;

/// Wall-clock seconds and targets (images, or the tokens of a text), over all starts of a run.
struct Clock {
  double train_seconds = 0, eval_seconds = 0;
  std::int64_t train_targets = 0, eval_targets = 0;
};

/// A loss that is no finite number: where and when. Its exit code is `diverged`.
class Diverged final : public Error {
 public:
  Diverged(int at_epoch, std::int64_t at_step, std::string at_layer);
  int epoch;
  std::int64_t step;  ///< from 1, within the stage
  std::string layer;
};

/// Trains one stage. Its state is whole between any two steps: saved and restored there, it goes on to the
/// same bits. With `average_decay` the averages of the latents since the stage began are evaluated, and are
/// the final weights; training, and a next stage, go on from the latents.
class Trainer {
 public:
  /// `data` and what `stage` names must outlive it.
  Trainer(Stage stage, const datasets::Dataset& data);

  engine::Engine& engine() { return engine_; }
  /// Where training stands: "3 epochs", "2 epochs and 215 of 256 batches".
  std::string place() const;
  bool finished() const { return position_.epoch >= stage_.epochs; }

  /// Starts from these weights instead of the seed's (weights.hpp). Before the first epoch.
  void start_from(const std::vector<NamedTensor>& tensors, const std::string& source);
  /// Goes on to the end of the epoch; empty if `watch` asked to stop. Throws Diverged. Of several processes
  /// those without latents get a record without evaluation.
  std::optional<EpochRecord> run_epoch(const Watch& watch, const Asked& asked = {});
  /// Evaluates the state as it is, between two epochs; only the validation fields are set. Empty if `watch`
  /// asked to stop.
  std::optional<EpochRecord> evaluate(const Watch& watch);
  /// Ends training: the averages, if there are any, become the latents, and the exactly quantized weights
  /// w* = F(u) the used ones.
  void finalize();

  /// What a next stage starts from (weights.hpp), between two epochs.
  std::vector<NamedTensor> carried();
  /// Everything that the rest of training depends on: latents under their parameter names, optimizer state,
  /// running statistics, methods' own state, position within the epoch and its sums; within an epoch what
  /// recurrent layers carry.
  std::vector<NamedTensor> save();
  /// Takes back what save() gave for the same stage. An Error (data) says what does not fit.
  void restore(const SafetensorsFile& file);
  /// Index of the stage that a checkpoint stands in.
  static int stage_of(const SafetensorsFile& file);
  const Clock& clock() const { return clock_; }
  void add_to_clock(const Clock& earlier);

 private:
  struct Position {
    std::int64_t epoch = 0;  ///< finished, in this stage
    std::int64_t batch = 0;  ///< next, in the epoch
    std::int64_t step = 0;   ///< optimizer steps done in this stage
  };
  /// The validation losses of the stage so far.
  struct Validation {
    double lowest = std::numeric_limits<double>::infinity();
    std::int64_t plateaus = 0;  ///< epochs whose loss was not below the lowest before
    void add(double loss);
  };
  struct Sums {
    double loss = 0;
    std::int64_t correct = 0, count = 0;
    void add(const Sums& other);
    double mean_loss() const;
    double accuracy() const;  ///< a fraction
  };
  struct Evaluation {
    Sums validation;
    std::optional<Sums> test;  ///< where validation is on other images
  };

  double base_learning_rate() const;
  double learning_rate(std::int64_t step) const;
  quant::WeightContext context(std::int64_t step) const;
  quant::WeightContext evaluation_context() const;
  std::uint32_t train_batch(const datasets::Batch& batch, const Asked& asked);
  void update(const datasets::Batch& batch, const quant::WeightContext& now);
  bool validate(EpochRecord& record, const Watch& watch);
  bool within_epoch() const;
  int lanes() const { return stage_.loader->batch_size; }  ///< samples of a whole batch, of all workers
  std::optional<Sums> evaluate_split(datasets::Loader& loader, const Watch& watch, bool must_be_finite);
  std::optional<Evaluation> evaluate_splits(const Watch& watch, bool must_be_finite);
  bool evaluate_into(EpochRecord& record, const Watch& watch);
  bool evaluate_latents(EpochRecord& record, const Watch& watch);
  std::vector<float> quantized_used() const;
  void check_whole(const std::string& broken, std::int64_t step) const;
  int epoch_number() const { return stage_.first_epoch + static_cast<int>(position_.epoch) + 1; }

  Stage stage_;
  engine::Engine engine_;
  Updater updater_;
  Workers workers_;
  WeightAverage average_;
  datasets::Loader train_loader_;
  datasets::Loader validation_loader_;
  std::optional<datasets::Loader> test_loader_;  ///< where validation is on other images
  WeightWatch weight_watch_;
  std::vector<int> loaded_;  ///< slots of learned values that start_from found
  Position position_;
  Sums sums_;
  Validation validation_;
  dist::Traffic traffic_;  ///< of the epoch so far
  Clock clock_;
  double epoch_seconds_ = 0;  ///< of this epoch in this session, for the rate shown
  std::int64_t epoch_targets_ = 0;
};

}  // namespace qtrain::train
