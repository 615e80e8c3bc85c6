#include "train/updater.hpp"

#include <algorithm>
#include <utility>

#include "base/cast.hpp"
#include "train/checkpoint.hpp"

namespace qtrain::train {

double weight_decay(const engine::ParameterSlot& slot, const optim::OptimizerSpec& optimizer,
                    const Choice& decays) {
  if (slot.kind == engine::ParameterSlot::Kind::learned) return slot.decay;
  if (decays && !decays(slot)) return 0;
  return optimizer.weight_decay;
}

Updater::Updater(engine::Engine& engine, const optim::OptimizerSpec& optimizer, const Choice& decays)
    : engine_(engine), optimizer_(optimizer), names_(optimizer.rule->slot_names()) {
  for (std::size_t i = 0; i < names_.size(); ++i) state_.emplace_back(engine.latents().size());
  std::vector<Run> runs;
  for (const engine::ParameterSlot& slot : engine.slots()) {
    if (slot.frozen) continue;
    const double decay = weight_decay(slot, optimizer, decays);
    const double factor = slot.learning_rate_factor;
    Run* last = runs.empty() ? nullptr : &runs.back();
    if (last != nullptr && last->weight_decay == decay && last->rate_factor == factor &&
        last->offset + last->size == slot.offset)
      last->size += slot.size;
    else
      runs.push_back({.offset = slot.offset,
                      .size = slot.size,
                      .rate_factor = factor,
                      .weight_decay = decay,
                      .slots = {}});
  }
  for (const Run& run : runs) {
    gradients_.push_back(engine.gradients().subspan(run.offset, run.size));
    for (std::size_t first = 0; first < run.size; first += kRange) {
      Run& part = parts_.emplace_back(run);
      part.offset += first;
      part.size = std::min(kRange, run.size - first);
      for (AlignedBuffer<float>& array : state_)
        part.slots.push_back(array.span().subspan(part.offset, part.size));
    }
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
  const std::span<float> latents = engine_.latents();
  engine_.pool().run(narrow<int>(parts_.size()), [&](int task, int) {
    const Run& part = parts_[static_cast<std::size_t>(task)];
    optimizer_.rule->update({.u = latents.subspan(part.offset, part.size),
                             .g = gradients.subspan(part.offset, part.size),
                             .slots = part.slots,
                             .learning_rate = learning_rate * part.rate_factor,
                             .weight_decay = part.weight_decay,
                             .step = step});
  });
}

void Updater::restart() {
  for (AlignedBuffer<float>& array : state_) std::ranges::fill(array.span(), 0.0f);
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
