#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "datasets/dataset.hpp"
#include "datasets/order.hpp"

namespace qtrain::datasets {

/// What a renderer makes of an image besides placing it.
struct Look {
  int crop = 0;                    ///< the result has crop x crop pixels; 0: as many as the image
  bool colours = false;            ///< they change; without, Colours are not looked at
  bool standardize_image = false;  ///< by the image's own mean and deviation instead of the normalisation
};

/// Turns the bytes of one image into floats: shifted, cut, mirrored, colours changed, normalised. What a
/// shift brings in from outside is black (byte 0) before all else, the common practice.
class Renderer {
 public:
  /// Sizes of the images and their normalisation, one mean and deviation a channel.
  Renderer(const Images& images, const Normalization& normalization, const Look& look = {});
  /// `image` [channels][height][width], u8, to `out` [channels][crop][crop] or of the same shape.
  void render(const std::uint8_t* image, const Placement& placement, const Colours& colours,
              float* out) const;
  std::size_t bytes() const { return tables_.size() * static_cast<std::size_t>(height_ * width_); }
  std::size_t image_size() const { return tables_.size() * plane(); }  ///< of the result

 private:
  using Table = std::array<float, 256>;  ///< the float of each byte value
  std::size_t plane() const { return static_cast<std::size_t>(out_height_ * out_width_); }
  void render_row(const Table& table, const std::uint8_t* row, const Placement& placement, float* out) const;
  void finish(const Colours& colours, float* out) const;

  Normalization normalization_;
  Look look_;
  int height_;
  int width_;
  int out_height_;
  int out_width_;
  bool in_one_pass_;           ///< the tables normalise; else they make byte / 255, and finish() the rest
  std::vector<Table> tables_;  ///< one a channel
};

/// x becomes x + brightness, and that contrast times as far from its mean: one channel of an image.
/// TensorFlow's adjust_brightness and adjust_contrast: nothing is cut to [0, 1].
void change_colours(const Colours& colours, std::span<float> x);
/// x becomes (x - mean) / max(deviation, 1 / sqrt(n)) over all n values of an image: TensorFlow's
/// per_image_standardization.
void standardize_image(std::span<float> x);

}  // namespace qtrain::datasets
