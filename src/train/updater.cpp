#include "train/updater.hpp"

#include <algorithm>
#include <utility>

#include "train/checkpoint.hpp"

namespace qtrain::train {

double weight_decay(const engine::ParameterSlot& slot, const optim::OptimizerSpec& optimizer,
                    const Choice& decays) {
  if (slot.kind == engine::ParameterSlot::Kind::learned || (decays && !decays(slot))) return 0;
  return optimizer.weight_decay;
}

Updater::Updater(engine::Engine& engine, const optim::OptimizerSpec& optimizer, const Choice& frozen,
                 const Choice& decays)
    : engine_(engine), optimizer_(optimizer), names_(optimizer.rule->slot_names()) {
  for (std::size_t i = 0; i < names_.size(); ++i) state_.emplace_back(engine.latents().size());
  for (const engine::ParameterSlot& slot : engine.slots()) {
    if (frozen && frozen(slot)) continue;
    const double decay = weight_decay(slot, optimizer, decays);
    const double factor = slot.learning_rate_factor;
    Run* last = runs_.empty() ? nullptr : &runs_.back();
    if (last != nullptr && last->weight_decay == decay && last->rate_factor == factor &&
        last->offset + last->size == slot.offset)
      last->size += slot.size;
    else
      runs_.push_back({.offset = slot.offset,
                       .size = slot.size,
                       .rate_factor = factor,
                       .weight_decay = decay,
                       .slots = {}});
  }
  for (Run& run : runs_) {
    for (AlignedBuffer<float>& array : state_)
      run.slots.push_back(array.span().subspan(run.offset, run.size));
    gradients_.push_back(engine.gradients().subspan(run.offset, run.size));
  }
}

void Updater::step(double learning_rate, std::int64_t step) {
  const std::span<float> gradients = engine_.gradients();
  for (const engine::ParameterSlot& slot : engine_.slots()) {
    if (slot.gradient_limit <= 0) continue;
    const auto limit = static_cast<float>(slot.gradient_limit);
    for (float& g : gradients.subspan(slot.offset, slot.size)) g = std::clamp(g, -limit, limit);
  }
  optim::clip_gradient(optimizer_, gradients_);
  for (std::size_t i = 0; i < runs_.size(); ++i)
    optimizer_.rule->update({.u = engine_.latents().subspan(runs_[i].offset, runs_[i].size),
                             .g = gradients_[i],
                             .slots = runs_[i].slots,
                             .learning_rate = learning_rate * runs_[i].rate_factor,
                             .weight_decay = runs_[i].weight_decay,
                             .step = step});
}

std::span<const float> Updater::second_moment() const {
  const int slot = optimizer_.rule->second_moment_slot();
  return slot < 0 ? std::span<const float>() : state_[static_cast<std::size_t>(slot)].span();
}

void Updater::save(std::vector<NamedTensor>& tensors) const {
  for (std::size_t i = 0; i < state_.size(); ++i)
    tensors.push_back(flat_tensor("optimizer/" + names_[i], state_[i].span()));
}

void Updater::restore(const SafetensorsFile& file) {
  for (std::size_t i = 0; i < state_.size(); ++i)
    restore_floats(file, "optimizer/" + names_[i], state_[i].span());
}

}  // namespace qtrain::train
