#pragma once
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace qtrain {

using Shape = std::vector<std::int64_t>;

/// Number of elements; 1 for the empty shape (a scalar).
inline std::size_t element_count(const Shape& shape) {
  return static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<std::int64_t>()));
}

/// "16x3x3x3"; "scalar" for the empty shape.
std::string to_string(const Shape& shape);

}  // namespace qtrain
