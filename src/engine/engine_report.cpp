// What an engine tells of itself: layers, memory, times, where numbers broke.
#include <algorithm>
#include <cmath>

#include "base/cast.hpp"
#include "engine/engine_impl.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::engine {

std::string Engine::locate_non_finite(std::span<const float> images, std::span<const std::int32_t> labels) {
  Impl& m = *impl_;
  const auto& all_finite = kernels::active().all_finite;
  for (const ParameterSlot& slot : m.parameters.slots()) {
    const std::span<const float> u = m.parameters.latents().subspan(slot.offset, slot.size);
    if (!all_finite(u.data(), u.size())) return slot.name + ": its values";
  }
  std::string where = "the loss or the backward pass";
  m.trace(images, labels.data(), narrow<int>(labels.size()) / m.graph.targets,
          [&](const Step& step, std::span<const float> output) {
            if (all_finite(output.data(), output.size())) return false;
            where = step.name() + ": the output of its " + to_string(step.kind());
            return true;
          });
  return where;
}

std::vector<LayerInfo> Engine::layers() const {
  const Impl& m = *impl_;
  const auto macs = model::multiply_accumulates(m.graph);
  const auto parameters = model::parameters(m.graph);
  std::vector<LayerInfo> rows;
  std::vector<int> bits(m.graph.layers.size(), 32);  // of each layer's output
  for (std::size_t k = 0; k < m.graph.layers.size(); ++k) {
    const model::Layer& layer = m.graph.layers[k];
    const int id = narrow<int>(k);
    LayerInfo row{.name = layer.name, .op = model::op_name(layer.op), .output = m.shared.shapes[k]};
    row.multiply_accumulates = macs[k];
    row.activation_bits = layer.inputs.empty() ? 32 : bits[static_cast<std::size_t>(layer.inputs[0])];
    for (const auto& parameter : parameters)
      if (parameter.layer == id) row.parameters += static_cast<std::int64_t>(element_count(parameter.shape));
    const ParameterSlot* weight = m.parameters.find(id, ParameterSlot::Kind::weight);
    row.weight_bits = weight == nullptr ? 0 : weight->method != nullptr ? weight->method->bits() : 32;
    if (weight != nullptr) describe_path(m.shared, id, row);
    const bool keeps = layer.op == model::Op::max_pool || layer.op == model::Op::flatten ||
                       layer.op == model::Op::shortcut_pad;
    if (keeps) bits[k] = row.activation_bits;
    if (layer.op == model::Op::activation && m.shared.units.at(id).quantizer) {
      const auto& quantizer = *m.shared.units.at(id).quantizer;
      bits[k] = static_cast<int>(std::ceil(std::log2(quantizer.levels())));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::size_t Engine::memory_bytes() const {
  return impl_->machine.memory_bytes() + impl_->parameters.memory_bytes();
}

Profile Engine::profile() const {
  Profile profile;
  for (std::size_t k = 0; k < static_cast<std::size_t>(StepKind::count); ++k) {
    Profile::Row row{.kind = to_string(static_cast<StepKind>(k))};
    for (const auto& counters : impl_->machine.profile) {
      row.seconds += counters[k].seconds;
      row.calls += counters[k].calls;
    }
    if (row.calls > 0) profile.rows.push_back(row);
  }
  return profile;
}

void Engine::reset_profile() {
  for (auto& counters : impl_->machine.profile) std::ranges::fill(counters, Machine::Counter{});
}

int Engine::threads() const { return impl_->options.threads; }
ThreadPool& Engine::pool() { return impl_->machine.pool; }

}  // namespace qtrain::engine
