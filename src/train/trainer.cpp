#include "train/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "train/weights.hpp"

namespace qtrain::train {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double mean(double sum, std::int64_t count) { return count > 0 ? sum / static_cast<double>(count) : 0; }

double rate(std::int64_t images, double seconds) {
  return seconds > 0 ? static_cast<double>(images) / seconds : 0;
}

/// Averages and latents have changed places while it lives.
class Exchanged {
 public:
  Exchanged(WeightAverage& average, std::span<float> latents) : average_(average), latents_(latents) {
    average_.swap(latents_);
  }
  ~Exchanged() { average_.swap(latents_); }
  Exchanged(const Exchanged&) = delete;
  Exchanged& operator=(const Exchanged&) = delete;

 private:
  WeightAverage& average_;
  std::span<float> latents_;
};

}  // namespace

Diverged::Diverged(int at_epoch, std::int64_t at_step, std::string at_layer)
    : Error(ExitCode::diverged, fmt::format("the loss or a gradient is not a finite number at step {} of "
                                            "epoch {}, first seen at {}; lower the "
                                            "learning rate or add warm-up",
                                            at_step, at_epoch, at_layer)),
      epoch(at_epoch),
      step(at_step),
      layer(std::move(at_layer)) {}

Trainer::Trainer(Stage stage, const datasets::Dataset& data)
    : stage_(std::move(stage)),
      engine_(*stage_.graph, stage_.quantization, stage_.loss, stage_.options),
      exchange_(engine_, *stage_.gradients, stage_.options.seed),
      updater_(engine_, *stage_.optimizer, stage_.frozen, stage_.decays),
      average_(stage_.average_decay),
      train_loader_(data.train, data.normalization, *stage_.loader, true),
      test_loader_(data.test, data.normalization, *stage_.loader, false) {
  average_.start(engine_.latents());
  engine_.use_weights(evaluation_context());
  weight_watch_.start(engine_);
}

void Trainer::start_from(const std::vector<NamedTensor>& tensors, const std::string& source) {
  loaded_ = load_tensors(engine_, tensors, source);
  average_.start(engine_.latents());
  engine_.use_weights(evaluation_context());
  weight_watch_.start(engine_);
}

double Trainer::learning_rate(std::int64_t step) const {
  return stage_.optimizer->learning_rate *
         stage_.schedule->factor({.step = step,
                                  .steps_per_epoch = train_loader_.batches_per_epoch(),
                                  .epochs = std::max(stage_.epochs, 1)});
}

/// What the hooks of step `step` know. One context serves used, pulled and settled of the same step.
quant::WeightContext Trainer::context(std::int64_t step) const {
  quant::WeightContext result;
  result.seed = stage_.options.seed;
  result.step = step;
  result.steps_per_epoch = train_loader_.batches_per_epoch();
  result.epochs = std::max(stage_.epochs, 1);
  result.learning_rate = learning_rate(step);
  result.base_learning_rate = stage_.optimizer->learning_rate;
  result.second_moment = updater_.second_moment();
  return result;
}

quant::WeightContext Trainer::evaluation_context() const {
  quant::WeightContext result = context(position_.step);
  result.evaluation = true;
  return result;
}

void Trainer::check_finite(bool finite, const datasets::Batch& batch, std::int64_t step) {
  if (finite) return;
  throw Diverged(epoch_number(), step, engine_.locate_non_finite(batch.images, batch.labels));
}

void Trainer::train_batch(const datasets::Batch& batch) {
  const quant::WeightContext now = context(position_.step);
  engine_.use_weights(now);
  if (position_.step == 0 && engine_.starts_from_data()) {
    engine_.start_quantizers(batch.images, batch.count, loaded_);
    average_.start(engine_.latents());
  }
  const engine::BatchResult result = engine_.train(batch.images, batch.labels);
  check_finite(result.finite, batch, position_.step + 1);
  exchange_.run(position_.step);
  updater_.step(now.learning_rate, position_.step);
  check_finite(engine_.latents_finite(), batch, position_.step + 1);
  engine_.settle(now);
  ++position_.step;
  ++position_.batch;
  average_.update(engine_.latents(), position_.step);
  sums_.loss += result.loss;
  sums_.correct += result.correct;
  sums_.count += result.count;
}

std::optional<EpochRecord> Trainer::run_epoch(const Watch& watch) {
  const int epoch = epoch_number();
  epoch_seconds_ = 0;
  epoch_images_ = 0;
  train_loader_.start({.seed = stage_.options.seed, .epoch = epoch - 1}, static_cast<int>(position_.batch));
  datasets::Batch batch;
  for (double started = seconds_now(); train_loader_.next(batch); started = seconds_now()) {
    train_batch(batch);
    const double seconds = seconds_now() - started;
    clock_.train_seconds += seconds;
    clock_.train_images += batch.count;
    epoch_seconds_ += seconds;
    epoch_images_ += batch.count;
    const Progress progress{.training = true,
                            .epoch = epoch,
                            .batch = static_cast<int>(position_.batch),
                            .batches = train_loader_.batches_per_epoch(),
                            .loss = mean(sums_.loss, sums_.count),
                            .images_per_second = rate(epoch_images_, epoch_seconds_)};
    if (!watch(progress)) return std::nullopt;
  }
  EpochRecord record;
  record.epoch = epoch;
  record.stage = stage_.index + 1;
  record.learning_rate = learning_rate(std::max<std::int64_t>(position_.step - 1, 0));
  record.train_loss = mean(sums_.loss, sums_.count);
  record.train_accuracy = mean(static_cast<double>(sums_.correct), sums_.count);
  if (!evaluate_into(record, watch)) return std::nullopt;
  ++position_.epoch;
  position_.batch = 0;
  sums_ = {};
  return record;
}

std::optional<EpochRecord> Trainer::evaluate(const Watch& watch) {
  EpochRecord record;
  if (!evaluate_into(record, watch)) return std::nullopt;
  return record;
}

/// With the averages in place of the latents, if they are kept; the weights in use after it are again those
/// of the latents, exactly quantized.
bool Trainer::evaluate_into(EpochRecord& record, const Watch& watch) {
  if (stage_.average_decay <= 0) return evaluate_latents(record, watch);
  bool finished = false;
  {
    const Exchanged averages(average_, engine_.latents());
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

/// A copy that is only looked at may overflow; the weights that training uses may not.
bool Trainer::evaluate_pass(const Watch& watch, Sums& sums, bool must_be_finite) {
  test_loader_.start({.seed = stage_.options.seed, .epoch = 0});
  datasets::Batch batch;
  int done = 0;
  const double pass_started = seconds_now();
  for (double started = pass_started; test_loader_.next(batch); started = seconds_now()) {
    const engine::BatchResult result = engine_.evaluate(batch.images, batch.labels);
    check_finite(result.finite || !must_be_finite, batch, position_.step);
    sums.loss += result.loss;
    sums.correct += result.correct;
    sums.count += result.count;
    clock_.eval_seconds += seconds_now() - started;
    clock_.eval_images += batch.count;
    const Progress progress{.training = false,
                            .epoch = epoch_number(),
                            .batch = ++done,
                            .batches = test_loader_.batches_per_epoch(),
                            .loss = mean(sums.loss, sums.count),
                            .images_per_second = rate(sums.count, seconds_now() - pass_started)};
    if (!watch(progress)) return false;
  }
  return true;
}

void Trainer::finalize() {
  average_.copy_to(engine_.latents());
  engine_.use_weights(evaluation_context(), engine::Weights::final);
}

void Trainer::add_to_clock(const Clock& earlier) {
  clock_.train_seconds += earlier.train_seconds;
  clock_.eval_seconds += earlier.eval_seconds;
  clock_.train_images += earlier.train_images;
  clock_.eval_images += earlier.eval_images;
}

}  // namespace qtrain::train
