#include "tensor/shape.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace qtrain {

std::string to_string(const Shape& shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "x"));
}

}  // namespace qtrain
