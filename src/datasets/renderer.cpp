#include "datasets/renderer.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace qtrain::datasets {

Renderer::Renderer(const Images& images, const Normalization& normalization)
    : height_(images.height), width_(images.width), tables_(static_cast<std::size_t>(images.channels)) {
  QTRAIN_CHECK(
      normalization.mean.size() == tables_.size() && normalization.deviation.size() == tables_.size(),
      "{} means and {} deviations for {} channels", normalization.mean.size(), normalization.deviation.size(),
      tables_.size());
  for (std::size_t channel = 0; channel < tables_.size(); ++channel)
    for (std::size_t byte = 0; byte < 256; ++byte)
      tables_[channel][byte] = (static_cast<float>(byte) / 255.0f - normalization.mean[channel]) /
                               normalization.deviation[channel];
}

void Renderer::render(const std::uint8_t* image, const Placement& placement, float* out) const {
  for (const Table& table : tables_) {
    for (int y = 0; y < height_; ++y, out += width_) {
      const int from = y + placement.down;
      if (from < 0 || from >= height_)
        std::fill_n(out, width_, table[0]);
      else
        render_row(table, image + from * width_, placement, out);
    }
    image += height_ * width_;
  }
}

// Output column x shows input column x + right, so the columns [first, last) lie inside the input.
void Renderer::render_row(const Table& table, const std::uint8_t* row, const Placement& placement,
                          float* out) const {
  const int first = std::clamp(-placement.right, 0, width_),
            last = std::clamp(width_ - placement.right, first, width_);
  const std::uint8_t* in = row + placement.right;
  if (placement.flip) {
    float* mirrored = out + width_ - 1;
    for (int x = 0; x < first; ++x) mirrored[-x] = table[0];
    for (int x = first; x < last; ++x) mirrored[-x] = table[in[x]];
    for (int x = last; x < width_; ++x) mirrored[-x] = table[0];
  } else {
    for (int x = 0; x < first; ++x) out[x] = table[0];
    for (int x = first; x < last; ++x) out[x] = table[in[x]];
    for (int x = last; x < width_; ++x) out[x] = table[0];
  }
}

}  // namespace qtrain::datasets
