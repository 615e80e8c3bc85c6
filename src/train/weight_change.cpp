#include "train/weight_change.hpp"

#include <cmath>
#include <cstring>

#include "base/cast.hpp"
#include "base/error.hpp"
#include "train/checkpoint.hpp"

namespace qtrain::train {
namespace {

constexpr const char* kSigns = "signs_at_start";

std::uint8_t sign_bit(float w) { return w < 0 ? 1 : 0; }

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

void WeightWatch::start(const engine::Engine& engine) {
  signs_.clear();
  for (const engine::ParameterSlot& slot : engine.slots())
    if (slot.method != nullptr)
      for (const float w : engine.used(slot)) signs_.push_back(sign_bit(w));
}

WeightChange WeightWatch::measure(engine::Engine& engine) const {
  WeightChange change;
  double all_changed = 0, all_error = 0, all_norm = 0;
  std::size_t next = 0;
  for (const engine::ParameterSlot& slot : engine.slots()) {
    if (slot.method == nullptr) continue;
    const std::span<const float> w = engine.used(slot);
    const std::span<const float> u = engine.latents().subspan(slot.offset, slot.size);
    double changed = 0, error = 0, norm = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      changed += sign_bit(w[i]) != signs_.at(next++) ? 1 : 0;
      if (u.size() != w.size()) continue;
      const double difference = static_cast<double>(u[i]) - static_cast<double>(w[i]);
      error += difference * difference;
      norm += static_cast<double>(u[i]) * static_cast<double>(u[i]);
    }
    change.layer_sign_changes.push_back(ratio(changed, static_cast<double>(w.size())));
    change.layer_quantization_error.push_back(std::sqrt(ratio(error, norm)));
    all_changed += changed;
    all_error += error;
    all_norm += norm;
  }
  change.sign_changes = ratio(all_changed, static_cast<double>(signs_.size()));
  change.quantization_error = std::sqrt(ratio(all_error, all_norm));
  return change;
}

void WeightWatch::save(std::vector<NamedTensor>& tensors) const {
  NamedTensor& tensor = tensors.emplace_back();
  tensor.name = kSigns;
  tensor.dtype = Dtype::u8;
  tensor.shape = {narrow<std::int64_t>(signs_.size())};
  tensor.bytes.resize(signs_.size());
  if (!signs_.empty()) std::memcpy(tensor.bytes.data(), signs_.data(), signs_.size());
}

void WeightWatch::restore(const SafetensorsFile& file) {
  const NamedTensor& tensor = checkpoint_tensor(file, kSigns, signs_.size());
  if (tensor.dtype != Dtype::u8)
    fail(ExitCode::data, "the checkpoint's tensor '{}' must be u8, start the run anew", kSigns);
  if (!signs_.empty()) std::memcpy(signs_.data(), tensor.bytes.data(), signs_.size());
}

}  // namespace qtrain::train
