#include "train/weight_change.hpp"

#include <cmath>
#include <cstring>
#include <map>

#include "base/cast.hpp"
#include "base/error.hpp"
#include "train/checkpoint.hpp"

namespace qtrain::train {
namespace {

constexpr std::size_t kMostLevels = 256;
constexpr const char* kSigns = "signs_at_start";

std::uint8_t sign_bit(float w) { return w < 0 ? 1 : 0; }

/// One latent a weight, or else the used weights: what has a weight's sign.
std::span<const float> signed_values(engine::Engine& engine, const engine::ParameterSlot& slot) {
  const std::span<const float> used = engine.used(slot);
  return slot.size == used.size() ? engine.latents().subspan(slot.offset, slot.size) : used;
}

/// How often each code, or else each value, occurs; empty when there are too many.
std::vector<std::int64_t> count_levels(const quant::WeightMethod& method, std::span<const float> w) {
  std::vector<float> codes(w.size()), scales(method.scale_count());
  const bool has_codes = method.codes(w, codes, scales);
  std::map<float, std::int64_t> counts;
  if (const std::optional<quant::CodeRange> range = method.code_range(); has_codes && range)
    if ((range->highest - range->lowest) / range->step < narrow<int>(kMostLevels))
      for (int code = range->lowest; code <= range->highest; code += range->step)
        counts[static_cast<float>(code)] = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    ++counts[has_codes ? codes[i] : w[i]];
    if (counts.size() > kMostLevels) return {};
  }
  std::vector<std::int64_t> levels;
  for (const auto& [level, count] : counts) levels.push_back(count);
  return levels;
}

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

void WeightWatch::start(engine::Engine& engine) {
  signs_.clear();
  for (const engine::ParameterSlot& slot : engine.slots())
    if (slot.method != nullptr)
      for (const float u : signed_values(engine, slot)) signs_.push_back(sign_bit(u));
}

WeightChange WeightWatch::signs(engine::Engine& engine) const {
  WeightChange change;
  double all = 0;
  std::size_t next = 0;
  for (const engine::ParameterSlot& slot : engine.slots()) {
    if (slot.method == nullptr) continue;
    double changed = 0;
    const std::span<const float> values = signed_values(engine, slot);
    for (const float u : values) changed += sign_bit(u) != signs_.at(next++) ? 1 : 0;
    change.layer_sign_changes.push_back(ratio(changed, static_cast<double>(values.size())));
    all += changed;
  }
  change.sign_changes = ratio(all, static_cast<double>(signs_.size()));
  return change;
}

void WeightWatch::quantized(engine::Engine& engine, std::span<const float> used, WeightChange& change) {
  double all_error = 0, all_norm = 0;
  for (const engine::ParameterSlot& slot : engine.slots()) {
    if (slot.method == nullptr) continue;
    const std::span<const float> w = engine.used(slot);
    const bool of_latents = slot.method->latent_kind() == quant::LatentKind::weights;
    const std::span<const float> u =
        of_latents ? engine.latents().subspan(slot.offset, slot.size) : used.first(w.size());
    used = used.subspan(w.size());
    double error = 0, norm = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double difference = static_cast<double>(u[i]) - static_cast<double>(w[i]);
      error += difference * difference;
      norm += static_cast<double>(u[i]) * static_cast<double>(u[i]);
    }
    change.layer_quantization_error.push_back(std::sqrt(ratio(error, norm)));
    change.layer_levels.push_back(count_levels(*slot.method, w));
    all_error += error;
    all_norm += norm;
  }
  change.quantization_error = std::sqrt(ratio(all_error, all_norm));
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
