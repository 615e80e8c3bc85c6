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
  Sums used;
  engine_.use_weights(evaluation_context());
  const std::vector<float> weights = quantized_used();
  if (!weight_watch_.empty()) record.change = weight_watch_.signs(engine_);
  if (!evaluate_pass(watch, used, true)) return false;
  Sums quantized = used, in_floats = used;
  engine_.use_weights(evaluation_context(), engine::Weights::latent);
  if (quantized_used() != weights && !evaluate_pass(watch, in_floats = Sums{}, false)) return false;
  engine_.use_weights(evaluation_context(), engine::Weights::final);
  if (record.change) WeightWatch::quantized(engine_, weights, *record.change);
  if (quantized_used() != weights && !evaluate_pass(watch, quantized = Sums{}, false)) return false;
  const auto accuracy = [](const Sums& sums) { return mean(static_cast<double>(sums.correct), sums.count); };
  record.val_loss = mean(used.loss, used.count);
  record.val_accuracy = accuracy(used);
  record.quantized_val_loss = mean(quantized.loss, quantized.count);
  record.quantized_val_accuracy = accuracy(quantized);
  record.float_val_loss = mean(in_floats.loss, in_floats.count);
  record.float_val_accuracy = accuracy(in_floats);
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

/// A copy that is only looked at may overflow; the weights that training uses may not. Processes share the
/// batches, unless one of them has all the weights, or batches of a text go on where those before ended.
bool Trainer::evaluate_pass(const Watch& watch, Sums& sums, bool must_be_finite) {
  dist::Transport& transport = *stage_.transport;
  const bool shared = !transport.alone() && stage_.workers->protocol == dist::Protocol::all_reduce &&
                      !is_language_model(*stage_.graph);
  const int batches = test_loader_.batches_per_epoch(), processes = shared ? transport.workers() : 1;
  const int process = shared ? transport.first() : 0;
  const int first = datasets::part_begin(batches, process, processes);
  const int end = datasets::part_begin(batches, process + 1, processes);
  const int row = (batches + processes - 1) / processes;
  std::vector<Sums> results(static_cast<std::size_t>(row * processes));  // [process][its batches]
  std::string broken;
  datasets::Batch batch;
  Sums seen;
  engine_.start_sequences(stage_.options.batch);
  test_loader_.start({.seed = stage_.options.seed, .epoch = 0}, first);
  const double pass_started = seconds_now();
  double started = pass_started;
  for (int b = first; b < end && test_loader_.next(batch); ++b, started = seconds_now()) {
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
                            .loss = mean(seen.loss, seen.count),
                            .targets_per_second = rate(seen.count, seconds_now() - pass_started)};
    if (!watch(progress) && transport.alone()) return false;
  }
  if (shared) {
    transport.all_gather(std::as_writable_bytes(std::span(results)));
    broken = workers_.first_broken(std::move(broken));
  }
  check_whole(broken, position_.step);
  for (const Sums& result : results) sums.add(result);
  return true;
}

void Trainer::finalize() {
  average_.copy_to(engine_.latents());
  engine_.use_weights(evaluation_context(), engine::Weights::final);
}

}  // namespace qtrain::train
