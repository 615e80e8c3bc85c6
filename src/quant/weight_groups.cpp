#include "quant/weight_groups.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant {
namespace {

/// The signs of w, 0 for 0; false when some w is not its sign times scale.
bool signs(std::span<const float> w, float scale, std::span<float> sign) {
  std::array<std::uint32_t, kBlock> other{};
  const auto take = [scale, &other](const float* values, float* to) {
    QTRAIN_INDEPENDENT
    for (std::size_t i = 0; i < kBlock; ++i) {
      const float value = values[i];
      const float code = kept_if(value > 0, 1.0F) - kept_if(value < 0, 1.0F);
      other[i] |= static_cast<std::uint32_t>(code * scale != value);
      to[i] = code;
    }
  };
  for_each_block(
      w.size(), [&](std::size_t start) { take(w.data() + start, sign.data() + start); },
      [&](std::size_t start) {
        Block block = block_at(w, start);
        take(block.data(), block.data());
        put_block(block, start, sign);
      });
  return std::ranges::all_of(other, [](std::uint32_t bit) { return bit == 0; });
}

}  // namespace

WeightGroups::WeightGroups(const WeightTensor& tensor, const std::string& scale)
    : count(scale == "channel" && tensor.shape.size() > 1 ? tensor.outputs() : 1) {
  const std::size_t elements = element_count(tensor.shape);
  QTRAIN_CHECK(count > 0 && elements % count == 0, "{} weights in {} groups", elements, count);
  size = elements / count;
}

bool WeightGroups::codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const {
  for (std::size_t group = 0; group < count; ++group) {
    const std::span<const float> part = of(w, group);
    const std::span<float> code = of(codes, group);
    scales[group] = largest_magnitude(part);
    if (!signs(part, scales[group], code)) return false;
  }
  return true;
}

void read_scale(spec::Reader& keys, std::string& scale) {
  keys.choice("scale", scale, {"channel", "tensor"}, "which weights share a scale");
}

double mean_magnitude(std::span<const float> u) {
  double sum = 0;
  for (const float value : u) sum += std::abs(static_cast<double>(value));
  return u.empty() ? 0 : sum / static_cast<double>(u.size());
}

float largest_magnitude(std::span<const float> u) {
  Block largest{};
  const auto take = [&largest](const float* values) {
    for (std::size_t i = 0; i < kBlock; ++i) largest[i] = std::max(largest[i], std::abs(values[i]));
  };
  for_each_block(
      u.size(), [&](std::size_t start) { take(u.data() + start); },
      [&](std::size_t start) { take(block_at(u, start).data()); });
  return *std::ranges::max_element(largest);
}

}  // namespace qtrain::quant
