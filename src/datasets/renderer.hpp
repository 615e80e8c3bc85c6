#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "datasets/dataset.hpp"
#include "datasets/order.hpp"

namespace qtrain::datasets {

/// Turns the bytes of one image into normalised floats, shifted and mirrored. What a shift brings in from
/// outside is black (byte 0) before normalisation, the common practice.
class Renderer {
 public:
  /// Sizes of the images and their normalisation, one mean and deviation a channel.
  Renderer(const Images& images, const Normalization& normalization);
  /// `image` [channels][height][width], u8, to `out` of the same shape.
  void render(const std::uint8_t* image, const Placement& placement, float* out) const;
  std::size_t image_size() const { return tables_.size() * static_cast<std::size_t>(height_ * width_); }

 private:
  using Table = std::array<float, 256>;  ///< the float of each byte value
  void render_row(const Table& table, const std::uint8_t* row, const Placement& placement, float* out) const;

  int height_;
  int width_;
  std::vector<Table> tables_;  ///< one a channel
};

}  // namespace qtrain::datasets
