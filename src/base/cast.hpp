#pragma once
#include <utility>

#include "base/error.hpp"

namespace qtrain {

/// Integer conversion that throws instead of changing the value.
template <class To, class From>
To narrow(From value) {
  QTRAIN_CHECK(std::in_range<To>(value), "{} does not fit the target type", value);
  return static_cast<To>(value);
}

}  // namespace qtrain
