#pragma once
#include <chrono>
#include <cstdint>

namespace qtrain::train {

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline double mean(double sum, std::int64_t count) {
  return count > 0 ? sum / static_cast<double>(count) : 0;
}

inline double rate(std::int64_t targets, double seconds) {
  return seconds > 0 ? static_cast<double>(targets) / seconds : 0;
}

}  // namespace qtrain::train
