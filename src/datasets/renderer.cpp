#include "datasets/renderer.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace qtrain::datasets {

namespace {

double mean_of(std::span<const float> x) {
  double sum = 0;
  for (const float value : x) sum += static_cast<double>(value);
  return sum / static_cast<double>(x.size());
}

}  // namespace

Renderer::Renderer(const Images& images, const Normalization& normalization, const Look& look)
    : normalization_(normalization),
      look_(look),
      height_(images.height),
      width_(images.width),
      out_height_(look.crop > 0 ? look.crop : images.height),
      out_width_(look.crop > 0 ? look.crop : images.width),
      in_one_pass_(!look.colours && !look.standardize_image),
      tables_(static_cast<std::size_t>(images.channels)) {
  QTRAIN_CHECK(
      normalization.mean.size() == tables_.size() && normalization.deviation.size() == tables_.size(),
      "{} means and {} deviations for {} channels", normalization.mean.size(), normalization.deviation.size(),
      tables_.size());
  QTRAIN_CHECK(out_height_ <= height_ && out_width_ <= width_, "a crop of {} from images of {}x{}", look.crop,
               height_, width_);
  for (std::size_t channel = 0; channel < tables_.size(); ++channel)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const float x = static_cast<float>(byte) / 255.0f;
      tables_[channel][byte] =
          in_one_pass_ ? (x - normalization.mean[channel]) / normalization.deviation[channel] : x;
    }
}

void Renderer::render(const std::uint8_t* image, const Placement& placement, const Colours& colours,
                      float* out) const {
  float* row = out;
  for (const Table& table : tables_) {
    for (int y = 0; y < out_height_; ++y, row += out_width_) {
      const int from = y + placement.down;
      if (from < 0 || from >= height_)
        std::fill_n(row, out_width_, table[0]);
      else
        render_row(table, image + from * width_, placement, row);
    }
    image += height_ * width_;
  }
  if (!in_one_pass_) finish(colours, out);
}

void Renderer::finish(const Colours& colours, float* out) const {
  for (std::size_t channel = 0; channel < tables_.size(); ++channel) {
    const std::span<float> x(out + channel * plane(), plane());
    if (look_.colours) change_colours(colours, x);
    if (look_.standardize_image) continue;
    for (float& value : x) value = (value - normalization_.mean[channel]) / normalization_.deviation[channel];
  }
  if (look_.standardize_image) standardize_image({out, image_size()});
}

void change_colours(const Colours& colours, std::span<float> x) {
  for (float& value : x) value += colours.brightness;
  if (colours.contrast == 1) return;
  const auto mean = static_cast<float>(mean_of(x));
  for (float& value : x) value = (value - mean) * colours.contrast + mean;
}

void standardize_image(std::span<float> x) {
  const double mean = mean_of(x);
  const auto count = static_cast<double>(x.size());
  double squares = 0;
  for (const float value : x)
    squares += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean);
  const auto divisor = static_cast<float>(std::max(std::sqrt(squares / count), 1 / std::sqrt(count)));
  for (float& value : x) value = (value - static_cast<float>(mean)) / divisor;
}

// Output column x shows input column x + right, so the columns [first, last) lie inside the input.
void Renderer::render_row(const Table& table, const std::uint8_t* row, const Placement& placement,
                          float* out) const {
  const int first = std::clamp(-placement.right, 0, out_width_),
            last = std::clamp(width_ - placement.right, first, out_width_);
  const std::uint8_t* in = row + placement.right;
  if (placement.flip) {
    float* mirrored = out + out_width_ - 1;
    for (int x = 0; x < first; ++x) mirrored[-x] = table[0];
    for (int x = first; x < last; ++x) mirrored[-x] = table[in[x]];
    for (int x = last; x < out_width_; ++x) mirrored[-x] = table[0];
  } else {
    for (int x = 0; x < first; ++x) out[x] = table[0];
    for (int x = first; x < last; ++x) out[x] = table[in[x]];
    for (int x = last; x < out_width_; ++x) out[x] = table[0];
  }
}

}  // namespace qtrain::datasets
