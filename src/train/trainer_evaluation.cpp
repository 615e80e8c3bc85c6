// How a trainer evaluates: with the weights of training, their float copy, and the exactly quantized ones.
#include <limits>
#include <utility>

#include "train/rates.hpp"
#include "train/trainer.hpp"

namespace qtrain::train {
namespace {

/// Averages and latents have changed places while it lives.
class Swapped {
 public:
  Swapped(WeightAverage& average, std::span<float> latents) : average_(average), latents_(latents) {
    average_.swap(latents_);
  }
  ~Swapped() { average_.swap(latents_); }
  Swapped(const Swapped&) = delete;
  Swapped& operator=(const Swapped&) = delete;

 private:
  WeightAverage& average_;
  std::span<float> latents_;
};

}  // namespace

std::optional<EpochRecord> Trainer::evaluate(const Watch& watch) {
  EpochRecord record;
  if (!evaluate_into(record, watch)) return std::nullopt;
  return record;
}

/// Evaluates at the end of an epoch, of whose loss every process learns.
bool Trainer::validate(EpochRecord& record, const Watch& watch) {
  double loss = std::numeric_limits<double>::quiet_NaN();
  try {
    if (!evaluate_into(record, watch)) return false;
  } catch (const Diverged&) {
    workers_.share_validation(loss);
    throw;
  }
  loss = record.val_loss;
  workers_.share_validation(loss);
  validation_.add(loss);
  return true;
}

/// With the averages in place of the latents, if they are kept; the weights in use after it are again those
/// of the latents, exactly quantized.
bool Trainer::evaluate_into(EpochRecord& record, const Watch& watch) {
  workers_.gather_statistics();
  if (!workers_.has_latents()) return true;
  if (stage_.average_decay <= 0) return evaluate_latents(record, watch);
  bool finished = false;
  {
    const Swapped averages(average_, engine_.latents());
    finished = evaluate_latents(record, watch);
  }
  engine_.use_weights(evaluation_context(), engine::Weights::final);
  return finished;
}

bool Trainer::evaluate_latents(EpochRecord& record, const Watch& watch) {
  engine_.use_weights(evaluation_context());
  const std::vector<float> weights = quantized_used();
  if (!weight_watch_.empty()) record.change = weight_watch_.signs(engine_);
  const std::optional<Evaluation> used = evaluate_splits(watch, true);
  if (!used) return false;
  std::optional<Sums> in_floats = used->validation;
  engine_.use_weights(evaluation_context(), engine::Weights::latent);
  if (quantized_used() != weights) in_floats = evaluate_split(validation_loader_, watch, false);
  if (!in_floats) return false;
  std::optional<Evaluation> quantized = used;
  engine_.use_weights(evaluation_context(), engine::Weights::final);
  if (record.change) WeightWatch::quantized(engine_, weights, *record.change);
  if (quantized_used() != weights) quantized = evaluate_splits(watch, false);
  if (!quantized) return false;
  record.val_loss = used->validation.mean_loss();
  record.val_accuracy = used->validation.accuracy();
  record.quantized_val_loss = quantized->validation.mean_loss();
  record.quantized_val_accuracy = quantized->validation.accuracy();
  record.float_val_loss = in_floats->mean_loss();
  record.float_val_accuracy = in_floats->accuracy();
  if (used->test)
    record.test = {.loss = used->test->mean_loss(),
                   .accuracy = used->test->accuracy(),
                   .quantized_loss = quantized->test->mean_loss(),
                   .quantized_accuracy = quantized->test->accuracy()};
  for (const engine::ParameterSlot& slot : engine_.slots()) {
    if (slot.kind != engine::ParameterSlot::Kind::learned) continue;
    const std::span<const float> values = engine_.used(slot);
    record.learned.emplace_back(slot.name, std::vector<float>(values.begin(), values.end()));
  }
  return true;
}

std::vector<float> Trainer::quantized_used() const {
  std::vector<float> values;
  for (const engine::ParameterSlot& slot : engine_.slots()) {
    if (slot.method == nullptr) continue;
    const std::span<const float> w = engine_.used(slot);
    values.insert(values.end(), w.begin(), w.end());
  }
  return values;
}

std::optional<Trainer::Evaluation> Trainer::evaluate_splits(const Watch& watch, bool must_be_finite) {
  const std::optional<Sums> validation = evaluate_split(validation_loader_, watch, must_be_finite);
  if (!validation) return std::nullopt;
  if (!test_loader_) return Evaluation{.validation = *validation, .test = {}};
  const std::optional<Sums> test = evaluate_split(*test_loader_, watch, must_be_finite);
  if (!test) return std::nullopt;
  return Evaluation{.validation = *validation, .test = test};
}

/// A copy that is only looked at may overflow; the weights that training uses may not. Processes share the
/// batches, unless one of them has all the weights, or batches of a text go on where those before ended.
/// Empty if `watch` asked to stop.
std::optional<Trainer::Sums> Trainer::evaluate_split(datasets::Loader& loader, const Watch& watch,
                                                     bool must_be_finite) {
  dist::Transport& transport = *stage_.transport;
  const bool shared = !transport.alone() && stage_.workers->protocol == dist::Protocol::all_reduce &&
                      !is_language_model(*stage_.graph);
  const int batches = loader.batches_per_epoch(), processes = shared ? transport.workers() : 1;
  const int process = shared ? transport.first() : 0;
  const int first = datasets::part_begin(batches, process, processes);
  const int end = datasets::part_begin(batches, process + 1, processes);
  const int row = (batches + processes - 1) / processes;
  std::vector<Sums> results(static_cast<std::size_t>(row * processes));  // [process][its batches]
  std::string broken;
  datasets::Batch batch;
  Sums seen;
  engine_.start_sequences(stage_.options.batch);
  loader.start({.seed = stage_.options.seed, .epoch = 0}, first);
  const double pass_started = seconds_now();
  double started = pass_started;
  for (int b = first; b < end && loader.next(batch); ++b, started = seconds_now()) {
    const engine::BatchResult result = engine_.evaluate(batch.images, batch.labels);
    if (!result.finite && must_be_finite && broken.empty())
      broken = engine_.locate_non_finite(batch.images, batch.labels);
    results[static_cast<std::size_t>(process * row + b - first)] = {result.loss, result.correct,
                                                                    result.count};
    seen.add(results[static_cast<std::size_t>(process * row + b - first)]);
    clock_.eval_seconds += seconds_now() - started;
    clock_.eval_targets += std::int64_t{batch.count} * stage_.graph->targets;
    const Progress progress{.training = false,
                            .epoch = epoch_number(),
                            .batch = b + 1,
                            .batches = batches,
                            .loss = seen.mean_loss(),
                            .targets_per_second = rate(seen.count, seconds_now() - pass_started)};
    if (!watch(progress) && transport.alone()) return std::nullopt;
  }
  if (shared) {
    transport.all_gather(std::as_writable_bytes(std::span(results)));
    broken = workers_.first_broken(std::move(broken));
  }
  check_whole(broken, position_.step);
  Sums sums;
  for (const Sums& result : results) sums.add(result);
  return sums;
}

void Trainer::finalize() {
  average_.copy_to(engine_.latents());
  engine_.use_weights(evaluation_context(), engine::Weights::final);
}

}  // namespace qtrain::train
