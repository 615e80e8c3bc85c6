#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "base/random.hpp"
#include "kernels/kernels.hpp"

// What the kernel tests share: sizes around each vector length, values, and buffers that notice a stray
// write.

namespace qtrain::kernels {

inline const std::vector<std::size_t> kSizes{0,  1,  3,  7,  8,   9,   15,  16,  17,  31,  32,
                                             33, 63, 64, 65, 255, 256, 257, 511, 512, 513, 4095};

struct TileSize {
  std::size_t pixels;
  std::size_t lanes;
};

/// Each size in pixels with each number of lanes, less the largest tiles, which add time but no case.
inline std::vector<TileSize> tile_sizes() {
  std::vector<TileSize> tiles;
  for (const std::size_t pixels : kSizes) {
    for (const std::size_t lanes : {1u, 2u, 3u, 8u, 16u, 19u, 32u, 48u, 64u}) {
      if (pixels * lanes <= 4095 * 16) tiles.push_back({pixels, lanes});
    }
  }
  return tiles;
}

/// Uniform values in [-4, 4).
inline std::vector<float> plain_values(std::size_t size, std::uint32_t stream) {
  RandomStream random(1, Purpose::test, stream);
  std::vector<float> values(size);
  for (float& value : values) value = random.uniform(-4, 4);
  return values;
}

/// As plain_values, a third of them NaN, infinite, zero of either sign, denormal, huge, or ties of step 0.5.
inline std::vector<float> special_values(std::size_t size, std::uint32_t stream) {
  using Limits = std::numeric_limits<float>;
  const std::vector<float> special{Limits::quiet_NaN(),
                                   Limits::infinity(),
                                   -Limits::infinity(),
                                   0.0f,
                                   -0.0f,
                                   Limits::denorm_min(),
                                   -1e-40f,
                                   Limits::max(),
                                   Limits::lowest(),
                                   0.5f,
                                   1.0f,
                                   -1.5f};
  RandomStream random(2, Purpose::test, stream);
  std::vector<float> values = plain_values(size, stream);
  for (float& value : values) {
    if (random.below(3) == 0) value = special[random.below(static_cast<std::uint32_t>(special.size()))];
  }
  return values;
}

/// Small integers in [-8, 8], so that products and sums are exact.
inline std::vector<float> integer_values(std::size_t size, std::uint32_t stream) {
  RandomStream random(3, Purpose::test, stream);
  std::vector<float> values(size);
  for (float& value : values) value = static_cast<float>(random.below(17)) - 8.0f;
  return values;
}

using Halves = std::vector<unsigned short>;  ///< bfloat16

inline Halves to_bfloat16(const Kernels& k, const std::vector<float>& x) {
  Halves y(x.size());
  k.to_bfloat16(x.data(), y.data(), x.size());
  return y;
}

/// A copy of `values` that starts one element off the allocation's alignment, with marked elements around it.
template <class T>
class Guarded {
 public:
  explicit Guarded(const std::vector<T>& values)
      : all_(values.size() + 2 * kMargin, kMark), size_(values.size()) {
    std::copy(values.begin(), values.end(), data());
  }
  explicit Guarded(std::size_t size) : Guarded(std::vector<T>(size, kMark)) {}

  T* data() { return all_.data() + kMargin; }
  std::vector<T> values() const {
    return {all_.begin() + kMargin, all_.end() - static_cast<std::ptrdiff_t>(kMargin)};
  }
  bool intact() const {
    const auto marked = [](T value) { return value == kMark; };
    return std::all_of(all_.begin(), all_.begin() + kMargin, marked) &&
           std::all_of(all_.begin() + static_cast<std::ptrdiff_t>(kMargin + size_), all_.end(), marked);
  }

 private:
  static constexpr std::size_t kMargin = 17;
  static constexpr T kMark = static_cast<T>(12345);
  std::vector<T> all_;
  std::size_t size_;
};

/// One element and `values`, which so start off the allocation's alignment and end where it ends: a sanitizer
/// notices a read beyond them.
template <class T>
std::vector<T> after_one(const std::vector<T>& values) {
  std::vector<T> all(1 + values.size());
  std::copy(values.begin(), values.end(), all.begin() + 1);
  return all;
}

/// Whether two results have the same bits, a NaN being any NaN.
template <class T>
bool same_bits(std::vector<T> a, std::vector<T> b) {
  for (std::vector<T>* values : {&a, &b}) {
    for (T& value : *values) {
      if (std::isnan(value)) value = std::numeric_limits<T>::quiet_NaN();
    }
  }
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

inline const Kernels& reference_kernels() { return choose("reference"); }

}  // namespace qtrain::kernels
