#pragma once
#include <cstdint>
#include <vector>

#include "kernels/bit_convolution.hpp"
#include "kernels/samples.hpp"

// What the tests of the bit planes share: operands, and the convolution as plain loops over integers.

namespace qtrain::kernels {

enum class WeightKind { odd, any };  ///< digits +-1, digits in {-1, 0, 1}

struct BitCase {
  ConvolutionGeometry geometry;
  BitWeights weights;
  BitActivations activations;
  WeightKind kind = WeightKind::odd;
  std::size_t images = 1;
};

inline std::size_t weight_count(const ConvolutionGeometry& g) {
  return g.outputs * g.channels * g.kernel * g.kernel;
}
inline std::size_t input_count(const BitCase& c) {
  return c.images * c.geometry.height * c.geometry.width * c.geometry.channels;
}
inline std::size_t output_count(const BitCase& c) {
  return c.images * c.geometry.out_height() * c.geometry.out_width() * c.geometry.outputs;
}

/// Random codes; the first weight of the `any` kind is 0 so that it is no odd one by chance.
inline std::vector<int> random_weights(const BitCase& c, RandomStream& random) {
  const int top = (1 << c.weights.planes) - 1;
  std::vector<int> codes(weight_count(c.geometry));
  for (int& code : codes)
    code = c.kind == WeightKind::odd
               ? 2 * static_cast<int>(random.below(static_cast<std::uint32_t>(top) + 1)) - top
               : static_cast<int>(random.below(2 * static_cast<std::uint32_t>(top) + 1)) - top;
  if (c.kind == WeightKind::any) codes[0] = 0;
  return codes;
}

inline std::vector<int> random_activations(const BitCase& c, RandomStream& random) {
  std::vector<int> codes(input_count(c));
  for (int& code : codes)
    code = c.activations.lowest +
           c.activations.step * static_cast<int>(random.below(1U << c.activations.planes));
  return codes;
}

/// Sums of products over each window, OIHW and nhwc, 0 outside the image.
inline std::vector<float> plain_convolution(const BitCase& c, const std::vector<int>& weights,
                                            const std::vector<int>& activations) {
  const ConvolutionGeometry& g = c.geometry;
  std::vector<float> sums;
  const auto inside = [&](std::size_t at, std::size_t size) {
    return at >= g.padding && at < size + g.padding;
  };
  for (std::size_t image = 0; image < c.images; ++image)
    for (std::size_t y = 0; y < g.out_height(); ++y)
      for (std::size_t x = 0; x < g.out_width(); ++x)
        for (std::size_t o = 0; o < g.outputs; ++o) {
          std::int64_t sum = 0;
          for (std::size_t ky = 0; ky < g.kernel; ++ky)
            for (std::size_t kx = 0; kx < g.kernel; ++kx) {
              const std::size_t iy = y * g.stride + ky, ix = x * g.stride + kx;
              if (!inside(iy, g.height) || !inside(ix, g.width)) continue;
              const int* pixel =
                  activations.data() +
                  ((image * g.height + iy - g.padding) * g.width + ix - g.padding) * g.channels;
              const int* weight = weights.data() + o * g.channels * g.kernel * g.kernel + ky * g.kernel + kx;
              for (std::size_t channel = 0; channel < g.channels; ++channel)
                sum += std::int64_t{pixel[channel]} * weight[channel * g.kernel * g.kernel];
            }
          sums.push_back(static_cast<float>(sum));
        }
  return sums;
}

inline std::vector<float> floats_of(const std::vector<int>& codes) { return {codes.begin(), codes.end()}; }

inline std::vector<unsigned char> bytes_of(const std::vector<int>& codes) {
  std::vector<unsigned char> bytes;
  for (const int code : codes) bytes.push_back(static_cast<unsigned char>(code & 0xFF));
  return bytes;
}

/// Bytes with marks around them, at an odd address.
class GuardedBytes {
 public:
  explicit GuardedBytes(std::size_t size) : all_(size + 2 * kMargin, kMark), size_(size) {}
  unsigned char* data() { return all_.data() + kMargin; }
  std::vector<unsigned char> values() const {
    return {all_.begin() + kMargin, all_.begin() + static_cast<std::ptrdiff_t>(kMargin + size_)};
  }
  bool intact() const {
    const auto marked = [](unsigned char value) { return value == kMark; };
    return std::all_of(all_.begin(), all_.begin() + kMargin, marked) &&
           std::all_of(all_.begin() + static_cast<std::ptrdiff_t>(kMargin + size_), all_.end(), marked);
  }

 private:
  static constexpr std::size_t kMargin = 67;
  static constexpr unsigned char kMark = 0xA5;
  std::vector<unsigned char> all_;
  std::size_t size_;
};

}  // namespace qtrain::kernels
