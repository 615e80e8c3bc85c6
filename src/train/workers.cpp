#include "train/workers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/cast.hpp"
#include "base/error.hpp"
#include "dist/weight_message.hpp"
#include "train/checkpoint.hpp"

namespace qtrain::train {
namespace {

using Kind = engine::ParameterSlot::Kind;

constexpr std::size_t kPlaceSize = 200;  ///< bytes of the name of a place that broke

[[noreturn]] void fail_diverged() {
  throw dist::CommonError(ExitCode::diverged, "the server's training diverged, see the message of worker 0");
}

/// Whether the gradient moves something: the parameter, or what its method learns or gathers from it.
bool moves(const engine::ParameterSlot& slot) {
  if (!slot.frozen) return true;
  return slot.method != nullptr && (!slot.method->learned().empty() || !slot.method->state().empty());
}

std::vector<dist::Exchange::Tensor> exchanged_tensors(engine::Engine& engine,
                                                      const quant::GradientSpec& spec) {
  std::vector<dist::Exchange::Tensor> tensors;
  for (const engine::ParameterSlot& slot : engine.slots()) {
    if (slot.pulled || !moves(slot)) continue;
    const std::span<float> gradient = engine.used_gradient(slot);
    const bool kind = slot.kind == Kind::weight || (spec.biases && slot.kind == Kind::bias);
    tensors.push_back({.gradient = gradient,
                       .quantized = kind && gradient.size() >= narrow<std::size_t>(spec.smallest),
                       .index = narrow<std::uint32_t>(slot.index)});
  }
  return tensors;
}

std::size_t rows_of(const engine::ParameterSlot& slot) { return narrow<std::size_t>(slot.shape.at(0)); }

std::string worker_name(int worker, const char* what) { return fmt::format("worker{}/{}", worker, what); }

std::string carried_name(const engine::CarriedSlot& slot) { return "carried/" + slot.name; }

}  // namespace

Workers::Workers(engine::Engine& engine, dist::Transport& transport, const dist::WorkerSpec& spec,
                 const quant::GradientSpec& gradients,
                 const std::function<double(const engine::ParameterSlot&)>& decay, std::uint64_t seed,
                 int targets)
    : engine_(engine),
      transport_(transport),
      spec_(spec),
      reports_(narrow<std::size_t>(spec.count)),
      targets_(narrow<std::size_t>(spec.count)),
      targets_of_sample_(narrow<std::size_t>(targets)) {
  if (spec.count > 1 || gradients.make.exchanged)
    exchange_ = std::make_unique<dist::Exchange>(transport, exchanged_tensors(engine, gradients), gradients,
                                                 spec.protocol, seed);
  for (const engine::ParameterSlot& slot : engine.slots())
    if (gradients.decay && slot.kind != Kind::learned && decay(slot) > 0)  // learned values decay in the step
      decays_.emplace_back(&slot, static_cast<float>(decay(slot)));
  for (const engine::StatisticsSlot& slot : engine.statistics()) statistics_size_ += slot.values.size();
  if (spec.count == 1) return;
  statistics_.resize(statistics_size_ * narrow<std::size_t>(transport.local()));
  take_statistics();
}

void Workers::take_statistics() {
  for (int worker = 0; worker < transport_.local(); ++worker) exchange_statistics(worker, false);
}

std::span<float> Workers::statistics(int worker) {
  return std::span(statistics_).subspan(narrow<std::size_t>(worker) * statistics_size_, statistics_size_);
}

/// Copies a worker's running statistics to the engine, or back.
void Workers::exchange_statistics(int worker, bool into_engine) {
  if (statistics_.empty()) return;
  std::span<float> own = statistics(worker);
  for (const engine::StatisticsSlot& slot : engine_.statistics()) {
    const std::span<float> part = own.first(slot.values.size());
    if (into_engine)
      std::ranges::copy(part, slot.values.begin());
    else
      std::ranges::copy(slot.values, part.begin());
    own = own.subspan(part.size());
  }
}

void Workers::use_weights(const quant::WeightContext& context) {
  if (has_latents()) engine_.use_weights(context);
  if (spec_.protocol != dist::Protocol::parameter_server) return;
  message_.clear();
  std::int64_t in_floats = 0;
  for (const engine::ParameterSlot& slot : engine_.slots()) {
    if (transport_.leads())
      dist::append_weights(engine_.codes(slot), engine_.scales(slot), rows_of(slot), message_);
    in_floats += narrow<std::int64_t>(engine_.used(slot).size_bytes());
  }
  std::uint64_t size = message_.size();
  transport_.broadcast(std::as_writable_bytes(std::span(&size, 1)));
  message_.resize(size);
  transport_.broadcast(message_);
  std::size_t position = 0;
  for (const engine::ParameterSlot& slot : engine_.slots()) {
    codes_.resize(engine_.used(slot).size());
    dist::read_weights(message_, position, rows_of(slot), codes_, scales_);
    engine_.set_used(slot, codes_, scales_);
  }
  engine_.use_weights(context, engine::Weights::set);
  traffic_.received += spec_.count * narrow<std::int64_t>(size);
  traffic_.received_in_floats += spec_.count * in_floats;
}

void Workers::share_finite(bool finite) {
  if (spec_.protocol != dist::Protocol::parameter_server) return;
  transport_.broadcast(std::as_writable_bytes(std::span(&finite, 1)));
  if (!finite && !transport_.leads()) fail_diverged();
}

void Workers::share_learned() {
  for (const engine::ParameterSlot& slot : engine_.slots())
    if (slot.kind == Kind::learned)
      transport_.broadcast(std::as_writable_bytes(engine_.latents().subspan(slot.offset, slot.size)));
}

void Workers::add_decay() {
  for (const auto& [slot, decay] : decays_) {
    const std::span<float> g = engine_.used_gradient(*slot);
    const std::span<const float> w = engine_.used(*slot);
    for (std::size_t i = 0; i < g.size(); ++i) g[i] += decay * w[i];
  }
}

/// Worker `worker` of this process on its part of the batch.
void Workers::run_worker(int worker, const datasets::Batch& batch, std::string& broken) {
  const int number = transport_.first() + worker;
  const int begin = datasets::part_begin(batch.total, number, spec_.count);
  const int count = datasets::part_begin(batch.total, number + 1, spec_.count) - begin;
  const auto skipped = narrow<std::size_t>(begin - batch.first);
  const std::size_t image = batch.count > 0 ? batch.images.size() / narrow<std::size_t>(batch.count) : 0;
  const auto images = batch.images.subspan(skipped * image, narrow<std::size_t>(count) * image);
  const auto labels =
      batch.labels.subspan(skipped * targets_of_sample_, narrow<std::size_t>(count) * targets_of_sample_);
  Report& report = reports_[narrow<std::size_t>(number)];
  report = {};
  if (count > 0) {
    exchange_statistics(worker, true);
    const engine::BatchResult result = engine_.train(images, labels, begin);
    exchange_statistics(worker, false);
    add_decay();
    report = {
        .loss = result.loss, .correct = result.correct, .count = result.count, .broken = !result.finite};
    if (!result.finite && broken.empty()) broken = engine_.locate_non_finite(images, labels);
  }
  if (exchange_) exchange_->put(worker);
}

std::string Workers::first_broken(std::string mine) {
  mine.resize(kPlaceSize, '\0');
  std::vector<char> places(reports_.size() * kPlaceSize, '\0');
  std::ranges::copy(
      mine, places.begin() + std::ptrdiff_t{transport_.first()} * static_cast<std::ptrdiff_t>(kPlaceSize));
  transport_.all_gather(std::as_writable_bytes(std::span(places)));
  for (std::size_t worker = 0; worker < reports_.size(); ++worker)
    if (places[worker * kPlaceSize] != '\0') return {places.data() + worker * kPlaceSize};
  return {};
}

void Workers::share_validation(double& loss) {
  if (spec_.protocol != dist::Protocol::parameter_server) return;
  transport_.broadcast(std::as_writable_bytes(std::span(&loss, 1)));
  if (std::isnan(loss) && !transport_.leads()) fail_diverged();
}

Workers::Result Workers::train(const datasets::Batch& batch, const quant::WeightContext& context,
                               const Asked& asked) {
  Result result;
  std::string broken;
  for (int worker = 0; worker < transport_.local(); ++worker) run_worker(worker, batch, broken);
  reports_[narrow<std::size_t>(transport_.first())].requests = asked ? asked() : 0;
  transport_.all_gather(std::as_writable_bytes(std::span(reports_)));
  bool whole = true;
  for (std::size_t worker = 0; worker < reports_.size(); ++worker) {
    const Report& report = reports_[worker];
    result.batch.loss += report.loss;
    result.batch.correct += report.correct;
    result.batch.count += report.count;
    result.requests |= report.requests;
    whole = whole && report.broken == 0;
    targets_[worker] = report.count;
  }
  if (!whole) result.broken = first_broken(std::move(broken));
  if (!whole || !exchange_) return result;
  exchange_->run(targets_, context.learning_rate, context.total_step(), engine_.pool());
  traffic_.add(exchange_->traffic());
  return result;
}

void Workers::gather_statistics() {
  if (statistics_.empty()) return;
  const auto workers = narrow<std::size_t>(spec_.count);
  std::vector<float> all(workers * statistics_size_);
  std::ranges::copy(
      statistics_,
      all.begin() + static_cast<std::ptrdiff_t>(narrow<std::size_t>(transport_.first()) * statistics_size_));
  transport_.all_gather(std::as_writable_bytes(std::span(all)));
  std::size_t at = 0;
  for (const engine::StatisticsSlot& slot : engine_.statistics())
    for (float& value : slot.values) {
      double sum = 0;
      for (std::size_t worker = 0; worker < workers; ++worker)
        sum += static_cast<double>(all[worker * statistics_size_ + at]);
      value = spec_.mean_statistics ? static_cast<float>(sum / static_cast<double>(workers)) : all[at];
      ++at;
    }
}

dist::Traffic Workers::take_traffic() { return std::exchange(traffic_, {}); }

std::vector<NamedTensor> Workers::save() {
  std::vector<NamedTensor> tensors;
  const auto gather = [&](std::span<const float> own, std::size_t size, const char* what) {
    if (size == 0) return;
    std::vector<float> all(reports_.size() * size);
    std::ranges::copy(
        own, all.begin() + static_cast<std::ptrdiff_t>(narrow<std::size_t>(transport_.first()) * size));
    transport_.gather(std::as_writable_bytes(std::span(all)));
    for (std::size_t worker = 0; worker < reports_.size(); ++worker)
      tensors.push_back(
          flat_tensor(worker_name(narrow<int>(worker), what), std::span(all).subspan(worker * size, size)));
  };
  if (!statistics_.empty()) gather(statistics_, statistics_size_, "statistics");
  if (exchange_) gather(exchange_->memory(), exchange_->memory_of_worker(), "memory");
  return tensors;
}

void Workers::restore(const SafetensorsFile& file) {
  take_statistics();  // for workers that the file does not know
  for (int worker = 0; worker < transport_.local(); ++worker) {
    const int number = transport_.first() + worker;
    if (!statistics_.empty()) {
      const std::string name = worker_name(number, "statistics");
      if (file.find(name) != nullptr) restore_floats(file, name, statistics(worker));
    }
    const std::string name = worker_name(number, "memory");
    if (!exchange_ || exchange_->memory_of_worker() == 0 || file.find(name) == nullptr) continue;
    const std::size_t size = exchange_->memory_of_worker();
    restore_floats(file, name, exchange_->memory().subspan(narrow<std::size_t>(worker) * size, size));
  }
}

std::vector<NamedTensor> Workers::save_carried(int lanes) {
  std::vector<NamedTensor> tensors;
  const auto begin = [&](int worker) {
    return narrow<std::size_t>(datasets::part_begin(lanes, worker, spec_.count));
  };
  const std::size_t workers = reports_.size();
  const std::size_t longest = (narrow<std::size_t>(lanes) + workers - 1) / workers;  // lanes of a worker
  for (const engine::CarriedSlot& slot : engine_.carried()) {
    const std::size_t size = slot.values.size() / narrow<std::size_t>(lanes);  // of a lane
    std::vector<float> rows(workers * longest * size), all(slot.values.size());
    const auto row = [&](int worker) {
      return std::span(rows).subspan(narrow<std::size_t>(worker) * longest * size,
                                     (begin(worker + 1) - begin(worker)) * size);
    };
    for (int worker = transport_.first(); worker < transport_.first() + transport_.local(); ++worker)
      std::ranges::copy(slot.values.subspan(begin(worker) * size, row(worker).size()), row(worker).begin());
    transport_.gather(std::as_writable_bytes(std::span(rows)));
    for (int worker = 0; worker < spec_.count; ++worker)
      std::ranges::copy(row(worker), std::span(all).subspan(begin(worker) * size).begin());
    tensors.push_back(NamedTensor::of(carried_name(slot), {lanes, narrow<std::int64_t>(size)},
                                      std::span<const float>(all)));
  }
  return tensors;
}

void Workers::restore_carried(const SafetensorsFile& file, int lanes) {
  engine_.start_sequences(lanes);
  for (const engine::CarriedSlot& slot : engine_.carried())
    restore_floats(file, carried_name(slot), slot.values);
}

}  // namespace qtrain::train
