#include "quant/weight_groups.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace qtrain::quant {

WeightGroups::WeightGroups(const WeightTensor& tensor, const std::string& scale)
    : count(scale == "channel" ? tensor.outputs() : 1) {
  const std::size_t elements = element_count(tensor.shape);
  QTRAIN_CHECK(count > 0 && elements % count == 0, "{} weights in {} groups", elements, count);
  size = elements / count;
}

bool WeightGroups::codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const {
  for (std::size_t group = 0; group < count; ++group) {
    const std::span<const float> part = of(w, group);
    const std::span<float> code = of(codes, group);
    const float scale = largest_magnitude(part);
    scales[group] = scale;
    bool one_magnitude = true;
    for (std::size_t i = 0; i < part.size(); ++i) {
      code[i] = static_cast<float>(part[i] > 0) - static_cast<float>(part[i] < 0);
      one_magnitude &= code[i] * scale == part[i];
    }
    if (!one_magnitude) return false;
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
  float largest = 0;
  for (const float value : u) largest = std::max(largest, std::abs(value));
  return largest;
}

}  // namespace qtrain::quant
