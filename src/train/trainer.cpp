#include "train/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "train/weights.hpp"

namespace qtrain::train {

void Trainer::Sums::add(const Sums& other) {
  loss += other.loss;
  correct += other.correct;
  count += other.count;
}

namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double mean(double sum, std::int64_t count) { return count > 0 ? sum / static_cast<double>(count) : 0; }

double rate(std::int64_t images, double seconds) {
  return seconds > 0 ? static_cast<double>(images) / seconds : 0;
}

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
      updater_(engine_, *stage_.optimizer, stage_.frozen,
               stage_.gradients->decay ? Choice([](const auto&) { return false; }) : stage_.decays),
      workers_(
          engine_, *stage_.transport, *stage_.workers, *stage_.gradients, stage_.frozen,
          [this](const auto& slot) { return weight_decay(slot, *stage_.optimizer, stage_.decays); },
          stage_.options.seed),
      average_(stage_.average_decay),
      train_loader_(data.train, data.normalization, *stage_.loader, true, part_of(stage_)),
      test_loader_(data.test, data.normalization, evaluation_loader(stage_), false) {
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

double Trainer::base_learning_rate() const {
  return stage_.optimizer->learning_rate * stage_.workers->rate_factor;
}

double Trainer::learning_rate(std::int64_t step) const {
  return base_learning_rate() * stage_.schedule->factor({.step = step,
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
  if (!workers_.has_latents()) return;
  engine_.pull_gradients();
  updater_.step(now.learning_rate, position_.step);
  if (!engine_.latents_finite()) {
    workers_.end_workers();
    check_whole(engine_.locate_non_finite(batch.images, batch.labels), position_.step + 1);
  }
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

std::optional<EpochRecord> Trainer::run_epoch(const Watch& watch, const Asked& asked) {
  const int epoch = epoch_number();
  epoch_seconds_ = 0;
  epoch_images_ = 0;
  train_loader_.start({.seed = stage_.options.seed, .epoch = epoch - 1}, static_cast<int>(position_.batch));
  datasets::Batch batch;
  for (double started = seconds_now(); train_loader_.next(batch); started = seconds_now()) {
    const std::uint32_t requests = train_batch(batch, asked);
    const double seconds = seconds_now() - started;
    clock_.train_seconds += seconds;
    clock_.train_images += batch.total;
    epoch_seconds_ += seconds;
    epoch_images_ += batch.total;
    const Progress progress{.training = true,
                            .epoch = epoch,
                            .batch = static_cast<int>(position_.batch),
                            .batches = train_loader_.batches_per_epoch(),
                            .loss = mean(sums_.loss, sums_.count),
                            .images_per_second = rate(epoch_images_, epoch_seconds_),
                            .requests = requests};
    if (!watch(progress)) return std::nullopt;
  }
  EpochRecord record;
  record.epoch = epoch;
  record.stage = stage_.index + 1;
  record.learning_rate = learning_rate(std::max<std::int64_t>(position_.step - 1, 0));
  record.train_loss = mean(sums_.loss, sums_.count);
  record.train_accuracy = mean(static_cast<double>(sums_.correct), sums_.count);
  if (workers_.exchanges()) record.traffic = traffic_;
  if (!evaluate_into(record, watch)) return std::nullopt;
  ++position_.epoch;
  position_.batch = 0;
  sums_ = {};
  traffic_ = {};
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
/// batches, unless one of them has all the weights.
bool Trainer::evaluate_pass(const Watch& watch, Sums& sums, bool must_be_finite) {
  dist::Transport& transport = *stage_.transport;
  const bool shared = !transport.alone() && stage_.workers->protocol == dist::Protocol::all_reduce;
  const int batches = test_loader_.batches_per_epoch(), processes = shared ? transport.workers() : 1;
  const int process = shared ? transport.first() : 0;
  const int first = datasets::part_begin(batches, process, processes);
  const int end = datasets::part_begin(batches, process + 1, processes);
  const int row = (batches + processes - 1) / processes;
  std::vector<Sums> results(static_cast<std::size_t>(row * processes));  // [process][its batches]
  std::string broken;
  datasets::Batch batch;
  Sums seen;
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
    clock_.eval_images += batch.count;
    const Progress progress{.training = false,
                            .epoch = epoch_number(),
                            .batch = b + 1,
                            .batches = batches,
                            .loss = mean(seen.loss, seen.count),
                            .images_per_second = rate(seen.count, seconds_now() - pass_started)};
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

void Trainer::add_to_clock(const Clock& earlier) {
  clock_.train_seconds += earlier.train_seconds;
  clock_.eval_seconds += earlier.eval_seconds;
  clock_.train_images += earlier.train_images;
  clock_.eval_images += earlier.eval_images;
}

}  // namespace qtrain::train
