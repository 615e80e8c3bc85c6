#include "engine/engine.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/cast.hpp"
#include "engine/engine_impl.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::engine {

void Engine::Impl::make_units(const Quantization& quantization) {
  for (std::size_t k = 0; k < graph.layers.size(); ++k) {
    if (graph.layers[k].op != model::Op::activation) continue;
    const int layer = narrow<int>(k);
    ActivationUnit& unit = shared.units[layer];
    unit.layer = layer;
    if (!quantization.activations) continue;
    unit.quantizer = quantization.activations({graph.layers[k].name, shared.shapes[k]});
    unit.ste = quantization.ste();
    parameters.add_learned(layer, graph.layers[k].name, unit.quantizer->learned());
  }
  parameters.allocate(options.frozen);
  for (auto& [layer, unit] : shared.units) {
    unit.partial.resize(static_cast<std::size_t>(shared.shards));
    if (!unit.quantizer) continue;
    const std::span<float> learned = parameters.learned_values(layer);
    unit.learned_gradients = parameters.learned_gradients(layer);
    if (!learned.empty()) unit.quantizer->bind(learned);
    for (auto& partial : unit.partial) partial.assign(learned.size(), 0.0);
  }
}

void Engine::Impl::list_statistics() {
  for (std::size_t k = 0; k < graph.layers.size(); ++k) {
    if (graph.layers[k].op != model::Op::batch_norm) continue;
    auto& s = parameters.statistics(narrow<int>(k));
    statistics.push_back({graph.layers[k].name + ".running_mean", s.mean});
    statistics.push_back({graph.layers[k].name + ".running_variance", s.variance});
  }
}

void Engine::Impl::check_batch(std::span<const float> images, std::size_t labels, int count,
                               int first) const {
  QTRAIN_CHECK(count >= 1 && count <= options.batch, "a batch of {} images, made for at most {}", count,
               options.batch);
  QTRAIN_CHECK(images.size() == static_cast<std::size_t>(count) * element_count(graph.input),
               "{} values are not {} images of {}", images.size(), count, qtrain::to_string(graph.input));
  QTRAIN_CHECK(labels == static_cast<std::size_t>(count) * static_cast<std::size_t>(graph.targets),
               "{} labels for {} images", labels, count);
  if (graph.targets == 1) return;
  QTRAIN_CHECK(shared.carried.empty() || first + count <= lanes, "{} sequences, begun in {} lanes",
               first + count, lanes);
  for (const float token : images)
    QTRAIN_CHECK(token >= 0 && token < static_cast<float>(graph.classes) && token == std::floor(token),
                 "{} is no token of {}", token, graph.classes);
}

BatchResult Engine::Impl::sum_losses(int count) {
  const int shards = shards_of(count);
  BatchResult result{.count = count * graph.targets};
  for (int s = 0; s < shards; ++s) {
    const LossPartial& partial = shared.losses[static_cast<std::size_t>(s)];
    summands[static_cast<std::size_t>(s)] = partial.loss;
    result.correct += partial.correct;
  }
  result.loss = tree_sum(summands.data(), shards);
  result.finite = std::isfinite(result.loss);
  return result;
}

/// Adds up the shards' gradients. False when one of them is not finite.
bool Engine::Impl::reduce_gradients(const Compiled& full, const Compiled* rest, int count) {
  const int shards = shards_of(count);
  work.clear();
  for (std::size_t k = 0; k < full.partials.size(); ++k) {
    const auto [slot, tensor] = full.partials[k];
    auto& gradient = shared.gradients.at(slot);
    for (auto& range : gradient.ranges) work.push_back({&gradient, &range});
    for (int s = 0; s < shards; ++s) {
      const bool last = rest != nullptr && s == shards - 1;
      const float* partial = last ? rest->program.kept(machine, s, rest->partials[k].second)
                                  : full.program.kept(machine, s, tensor);
      for (auto& range : gradient.ranges) range.partials[static_cast<std::size_t>(s)] = partial + range.first;
    }
  }
  std::atomic<bool> finite = true;
  machine.pool.run(narrow<int>(work.size()), [&](int task, int) {
    const auto& [gradient, range] = work[static_cast<std::size_t>(task)];
    const float scale = gradient->src != nullptr ? gradient->src->scale() : 1.0f;
    float* sum = gradient->sum.data() + range->first;
    kernels::active().tree_sum(range->partials.data(), static_cast<std::size_t>(shards), scale, sum,
                               range->count);
    if (!kernels::active().all_finite(sum, range->count)) finite = false;
  });
  machine.pool.run(narrow<int>(full.partials.size()), [&](int task, int) {
    const auto& gradient = shared.gradients.at(full.partials[static_cast<std::size_t>(task)].first);
    if (gradient.to_plain) gradient.to_plain->run();
  });
  reduce_learned(shards);
  for (const ParameterSlot& slot : parameters.slots()) {
    if (shared.gradients.contains(slot.index)) continue;
    const std::span<const float> g = parameters.used_gradient(slot);
    if (!kernels::active().all_finite(g.data(), g.size())) finite = false;
  }
  return finite;
}

void Engine::Impl::reduce_learned(int shards) {
  for (auto& [layer, unit] : shared.units)
    for (std::size_t k = 0; k < unit.learned_gradients.size(); ++k) {
      for (int s = 0; s < shards; ++s)
        summands[static_cast<std::size_t>(s)] = unit.partial[static_cast<std::size_t>(s)][k];
      unit.learned_gradients[k] = static_cast<float>(tree_sum(summands.data(), shards));
    }
}

void Engine::Impl::evaluate_pass(std::span<const float> images, const std::int32_t* labels, int count) {
  Compiled* full = full_program(count, evaluation());
  Compiled* rest = short_program(count, evaluation());
  for (Affine& affine : shared.affines) affine.prepare_evaluation();
  for (Compiled* compiled : {full, rest}) {
    if (compiled == nullptr || compiled->prepared == state) continue;
    for (ElementwiseForward* step : compiled->to_prepare) step->prepare();
    compiled->prepared = state;
  }
  full->program.run({.images = images.data(), .labels = labels, .count = count, .targets = graph.targets},
                    rest != nullptr ? &rest->program : nullptr, machine);
}

/// Trains on a batch without taking its gradients: Program::trace of the training program.
void Engine::Impl::trace(std::span<const float> images, const std::int32_t* labels, int count,
                         const Check& check) {
  Compiled* full = full_program(count, Mode::training);
  Compiled* rest = short_program(count, Mode::training);
  for (Affine& affine : shared.affines) affine.prepare();
  full->program.trace({.images = images.data(), .labels = labels, .count = count, .targets = graph.targets},
                      rest != nullptr ? &rest->program : nullptr, machine, check);
}

/// What `unit` sees of a training batch. The pass is given up as soon as it has seen all.
ActivationUnit::Observed Engine::Impl::observe(ActivationUnit& unit, std::span<const float> images,
                                               int count) {
  const std::vector<std::int32_t> labels(static_cast<std::size_t>(count * graph.targets), 0);
  const std::size_t all =
      static_cast<std::size_t>(count) * element_count(shared.shapes[static_cast<std::size_t>(unit.layer)]);
  ActivationUnit::Observed observed;
  unit.observed = &observed;
  trace(images, labels.data(), count,
        [&](const Step&, std::span<const float>) { return observed.count == all; });
  unit.observed = nullptr;
  return observed;
}

bool Engine::starts_from_data() const {
  return std::ranges::any_of(impl_->shared.units, [](const auto& item) {
    return item.second.quantizer && item.second.quantizer->starts_from_data();
  });
}

void Engine::start_quantizers(std::span<const float> images, int count, const std::vector<int>& loaded) {
  Impl& m = *impl_;
  ++m.state;
  m.check_batch(images, static_cast<std::size_t>(count * m.graph.targets), count);
  std::vector<std::vector<float>> running;
  for (const StatisticsSlot& slot : m.statistics)
    running.emplace_back(slot.values.begin(), slot.values.end());
  for (auto& [layer, unit] : m.shared.units) {
    if (!unit.quantizer || !unit.quantizer->starts_from_data()) continue;
    if (m.parameters.any_learned(layer, loaded)) continue;
    const ActivationUnit::Observed seen = m.observe(unit, images, count);
    const std::vector<float> start = unit.quantizer->start(
        {.mean_positive = seen.positive / static_cast<double>(seen.count), .largest = seen.largest});
    const std::span<float> values = m.parameters.learned_values(layer);
    QTRAIN_CHECK(start.size() == values.size(), "{} starting values for {}", start.size(), values.size());
    std::ranges::copy(start, values.begin());
  }
  for (std::size_t k = 0; k < running.size(); ++k)
    std::ranges::copy(running[k], m.statistics[k].values.begin());
}

Engine::Engine(const model::Graph& graph, const Quantization& quantization, const Loss& loss,
               const Options& options) {
  QTRAIN_CHECK(options.threads >= 1 && options.shard >= 1 && options.batch >= 1,
               "threads {}, shard {} and batch {} must all be at least 1", options.threads, options.shard,
               options.batch);
  onednn::use_threads(1);
  require(options.precision);
  impl_ = std::make_unique<Impl>(graph, quantization, loss, options);
}
Engine::~Engine() = default;

bool Engine::latents_finite() const {
  const std::span<const float> u = impl_->parameters.latents();
  std::atomic<bool> finite = true;
  run_ranges(impl_->machine.pool, u.size(), [&](std::size_t first, std::size_t count) {
    if (!kernels::active().all_finite(u.data() + first, count)) finite = false;
  });
  return finite;
}
std::span<float> Engine::latents() {
  ++impl_->state;
  return impl_->parameters.latents();
}
std::span<float> Engine::gradients() { return impl_->parameters.gradients(); }
const std::vector<ParameterSlot>& Engine::slots() const { return impl_->parameters.slots(); }
const std::vector<StatisticsSlot>& Engine::statistics() const {
  ++impl_->state;
  return impl_->statistics;
}

void Engine::use_weights(const quant::WeightContext& context, Weights which) {
  ++impl_->state;
  impl_->in_floats = which == Weights::latent;
  impl_->parameters.use(context, which, impl_->machine.pool);
}
std::span<const float> Engine::used(const ParameterSlot& slot) const { return impl_->parameters.used(slot); }
std::span<const float> Engine::codes(const ParameterSlot& slot) const {
  return impl_->parameters.codes(slot);
}
std::span<const float> Engine::scales(const ParameterSlot& slot) const {
  return impl_->parameters.distinct_scales(slot);
}
void Engine::set_used(const ParameterSlot& slot, std::span<const float> codes,
                      std::span<const float> scales) {
  impl_->parameters.set_used(slot, codes, scales);
}
std::span<float> Engine::used_gradient(const ParameterSlot& slot) {
  return impl_->parameters.used_gradient(slot);
}
void Engine::pull_gradients() { impl_->parameters.pull(impl_->machine.pool); }
void Engine::settle(const quant::WeightContext& context) {
  ++impl_->state;
  impl_->parameters.settle(context, impl_->machine.pool);
}

void Engine::start_sequences(int lanes) {
  Impl& m = *impl_;
  for (auto& [layer, carried] : m.shared.carried) {
    const auto features = narrow<std::size_t>(m.shared.shapes[static_cast<std::size_t>(layer)][0]);
    const std::size_t size = narrow<std::size_t>(lanes) * 2 * features;
    if (carried.values.size() != size) carried.values = AlignedBuffer<float>(size);
    std::ranges::fill(carried.values.span(), 0.0f);
  }
  m.lanes = lanes;
}

std::vector<CarriedSlot> Engine::carried() {
  std::vector<CarriedSlot> slots;
  for (auto& [layer, carried] : impl_->shared.carried)
    slots.push_back(
        {impl_->graph.layers[static_cast<std::size_t>(layer)].name + ".state", carried.values.span()});
  return slots;
}

BatchResult Engine::train(std::span<const float> images, std::span<const std::int32_t> labels,
                          int first_image) {
  Impl& m = *impl_;
  ++m.state;
  const int count = narrow<int>(labels.size()) / m.graph.targets;
  m.check_batch(images, labels.size(), count, first_image);
  Compiled* full = m.full_program(count, Mode::training);
  Compiled* rest = m.short_program(count, Mode::training);
  for (Affine& affine : m.shared.affines) affine.prepare();
  full->program.run({images.data(), labels.data(), count, first_image, m.parameters.step(), m.graph.targets},
                    rest != nullptr ? &rest->program : nullptr, m.machine);
  const bool finite = m.reduce_gradients(*full, rest, count);
  BatchResult result = m.sum_losses(count);
  result.finite = result.finite && finite;
  return result;
}

BatchResult Engine::evaluate(std::span<const float> images, std::span<const std::int32_t> labels) {
  const int count = narrow<int>(labels.size()) / impl_->graph.targets;
  impl_->check_batch(images, labels.size(), count);
  impl_->evaluate_pass(images, labels.data(), count);
  return impl_->sum_losses(count);
}

std::vector<float> Engine::logits(std::span<const float> images, int count) {
  Impl& m = *impl_;
  const std::vector<std::int32_t> labels(static_cast<std::size_t>(count * m.graph.targets), 0);
  m.check_batch(images, labels.size(), count);
  m.evaluate_pass(images, labels.data(), count);
  const Compiled* full = m.full_program(count, m.evaluation());
  const Compiled* rest = m.short_program(count, m.evaluation());
  const auto classes = static_cast<std::size_t>(m.graph.classes);
  std::vector<float> out;
  for (int s = 0; s < m.shards_of(count); ++s) {
    const Compiled* used = rest != nullptr && s == m.shards_of(count) - 1 ? rest : full;
    const float* logits = used->program.kept(m.machine, s, used->logits);
    out.insert(
        out.end(), logits,
        logits + static_cast<std::size_t>(used->program.images_per_shard() * m.graph.targets) * classes);
  }
  return out;
}

}  // namespace qtrain::engine
