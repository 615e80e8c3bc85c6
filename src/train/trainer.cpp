#include "train/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/cast.hpp"
#include "base/words.hpp"
#include "train/rates.hpp"
#include "train/weights.hpp"

namespace qtrain::train {

void Trainer::Sums::add(const Sums& other) {
  loss += other.loss;
  correct += other.correct;
  count += other.count;
}

double Trainer::Sums::mean_loss() const { return mean(loss, count); }
double Trainer::Sums::accuracy() const { return mean(static_cast<double>(correct), count); }

void Trainer::Validation::add(double loss) {
  if (loss < lowest)
    lowest = loss;
  else
    ++plateaus;
}

namespace {

datasets::Part part_of(const Stage& stage) {
  const dist::Transport& transport = *stage.transport;
  return {.first = transport.first(),
          .local = transport.local(),
          .workers = transport.workers(),
          .fixed = stage.workers->fixed_sharding};
}

/// Evaluation in batches as large as a worker's.
datasets::DatasetSpec evaluation_loader(const Stage& stage) {
  datasets::DatasetSpec spec = *stage.loader;
  spec.batch_size = stage.options.batch;
  return spec;
}

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
      updater_(engine_, *stage_.optimizer,
               stage_.gradients->decay ? Choice([](const auto&) { return false; }) : stage_.decays),
      workers_(
          engine_, *stage_.transport, *stage_.workers, *stage_.gradients,
          [this](const auto& slot) { return weight_decay(slot, *stage_.optimizer, stage_.decays); },
          stage_.options.seed, stage_.graph->targets),
      average_(stage_.average_decay),
      train_loader_(data, datasets::Split::train, *stage_.loader, part_of(stage_)),
      validation_loader_(data, datasets::Split::validation, evaluation_loader(stage_)) {
  if (data.held_out.count > 0) test_loader_.emplace(data, datasets::Split::test, evaluation_loader(stage_));
  average_.start(engine_.latents());
  engine_.use_weights(evaluation_context());
  weight_watch_.start(engine_);
}

void Trainer::start_from(const std::vector<NamedTensor>& tensors, const std::string& source) {
  loaded_ = load_tensors(engine_, tensors, source);
  workers_.take_statistics();
  average_.start(engine_.latents());
  engine_.use_weights(evaluation_context());
  weight_watch_.start(engine_);
}

std::string Trainer::place() const {
  std::string text = counted(narrow<std::size_t>(stage_.first_epoch + position_.epoch), "epoch");
  if (within_epoch())
    text += fmt::format(" and {} of {} batches", position_.batch, train_loader_.batches_per_epoch());
  return text;
}

std::vector<NamedTensor> Trainer::carried() { return carried_tensors(engine_, evaluation_context()); }

double Trainer::base_learning_rate() const {
  return stage_.optimizer->learning_rate * stage_.workers->rate_factor;
}

double Trainer::learning_rate(std::int64_t step) const {
  return base_learning_rate() * stage_.schedule->factor({.step = step,
                                                         .steps_per_epoch = train_loader_.batches_per_epoch(),
                                                         .epochs = std::max(stage_.epochs, 1),
                                                         .plateaus = validation_.plateaus});
}

/// What the hooks of step `step` know. One context serves used, pulled and settled of the same step.
quant::WeightContext Trainer::context(std::int64_t step) const {
  quant::WeightContext result;
  result.seed = stage_.options.seed;
  result.step = step;
  result.first_step = stage_.first_step;
  result.steps_per_epoch = train_loader_.batches_per_epoch();
  result.epochs = std::max(stage_.epochs, 1);
  result.learning_rate = learning_rate(step);
  result.base_learning_rate = base_learning_rate();
  result.second_moment = updater_.second_moment();
  return result;
}

quant::WeightContext Trainer::evaluation_context() const {
  quant::WeightContext result = context(position_.step);
  result.evaluation = true;
  return result;
}

void Trainer::check_whole(const std::string& broken, std::int64_t step) const {
  if (!broken.empty()) throw Diverged(epoch_number(), step, broken);
}

/// Moves the latents by the gradient of the step.
void Trainer::update(const datasets::Batch& batch, const quant::WeightContext& now) {
  bool finite = true;
  if (workers_.has_latents()) {
    engine_.pull_gradients();
    const std::int64_t period = stage_.optimizer->restart_epochs * now.steps_per_epoch;
    const std::int64_t step = period > 0 ? position_.step % period : position_.step;
    if (step == 0 && position_.step > 0) updater_.restart();
    updater_.step(now.learning_rate, step);
    finite = engine_.latents_finite();
  }
  workers_.share_finite(finite);
  if (!workers_.has_latents()) return;
  if (!finite) check_whole(engine_.locate_non_finite(batch.images, batch.labels), position_.step + 1);
  engine_.settle(now);
  average_.update(engine_.latents(), position_.step + 1);
}

/// Returns what any process asks for.
std::uint32_t Trainer::train_batch(const datasets::Batch& batch, const Asked& asked) {
  const quant::WeightContext now = context(position_.step);
  workers_.use_weights(now);
  if (position_.step == 0 && engine_.starts_from_data()) {
    const int count = datasets::part_begin(batch.total, 1, stage_.workers->count);
    if (stage_.transport->leads())
      engine_.start_quantizers(
          batch.images.first(batch.images.size() / static_cast<std::size_t>(batch.count) *
                             static_cast<std::size_t>(count)),
          count, loaded_);
    workers_.share_learned();
    engine_.start_sequences(lanes());  // that pass was none of training
    average_.start(engine_.latents());
  }
  const Workers::Result result = workers_.train(batch, now, asked);
  check_whole(result.broken, position_.step + 1);
  update(batch, now);
  ++position_.step;
  ++position_.batch;
  sums_.add({result.batch.loss, result.batch.correct, result.batch.count});
  traffic_.add(workers_.take_traffic());
  return result.requests;
}

/// Some but not all batches of the epoch are done.
bool Trainer::within_epoch() const {
  return position_.batch > 0 && position_.batch < train_loader_.batches_per_epoch();
}

std::optional<EpochRecord> Trainer::run_epoch(const Watch& watch, const Asked& asked) {
  const int epoch = epoch_number();
  epoch_seconds_ = 0;
  epoch_targets_ = 0;
  if (position_.batch == 0) engine_.start_sequences(lanes());
  train_loader_.start({.seed = stage_.options.seed, .epoch = epoch - 1}, static_cast<int>(position_.batch));
  datasets::Batch batch;
  for (double started = seconds_now(); train_loader_.next(batch); started = seconds_now()) {
    const std::uint32_t requests = train_batch(batch, asked);
    const double seconds = seconds_now() - started;
    clock_.train_seconds += seconds;
    const std::int64_t targets = std::int64_t{batch.total} * stage_.graph->targets;
    clock_.train_targets += targets;
    epoch_seconds_ += seconds;
    epoch_targets_ += targets;
    const Progress progress{.training = true,
                            .epoch = epoch,
                            .batch = static_cast<int>(position_.batch),
                            .batches = train_loader_.batches_per_epoch(),
                            .loss = sums_.mean_loss(),
                            .targets_per_second = rate(epoch_targets_, epoch_seconds_),
                            .requests = requests};
    if (!watch(progress)) return std::nullopt;
  }
  EpochRecord record;
  record.epoch = epoch;
  record.stage = stage_.index + 1;
  record.learning_rate = learning_rate(std::max<std::int64_t>(position_.step - 1, 0));
  record.train_loss = sums_.mean_loss();
  record.train_accuracy = sums_.accuracy();
  if (workers_.exchanges()) record.traffic = traffic_;
  if (!validate(record, watch)) return std::nullopt;
  ++position_.epoch;
  position_.batch = 0;
  sums_ = {};
  traffic_ = {};
  return record;
}

void Trainer::add_to_clock(const Clock& earlier) {
  clock_.train_seconds += earlier.train_seconds;
  clock_.eval_seconds += earlier.eval_seconds;
  clock_.train_targets += earlier.train_targets;
  clock_.eval_targets += earlier.eval_targets;
}

}  // namespace qtrain::train
