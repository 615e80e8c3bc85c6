#include "base/random.hpp"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>

namespace qtrain {

// Philox has a 64-bit key and a 128-bit counter. The key holds the seed; of the counter, one word counts
// blocks, and three hold (purpose, a), b, c. Purpose takes the top 6 bits of its word, `a` the other 26.
RandomStream::RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t a, std::uint32_t b,
                           std::uint32_t c)
    : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
      counter_{0, (static_cast<std::uint32_t>(purpose) << 26) ^ a, b, c} {}

void RandomStream::refill() {
  const r123::Philox4x32 generate;
  const r123::Philox4x32::ctr_type counter{{counter_[0], counter_[1], counter_[2], counter_[3]}};
  const r123::Philox4x32::key_type key{{key_[0], key_[1]}};
  const auto block = generate(counter, key);
  for (unsigned i = 0; i < 4; ++i) block_[i] = block[i];
  ++counter_[0];
  next_ = 0;
}

std::uint32_t RandomStream::bits() {
  if (next_ == 4) refill();
  return block_[next_++];
}

float RandomStream::uniform() { return static_cast<float>(bits() >> 8) * 0x1p-24f; }

float RandomStream::uniform(float low, float high) { return low + (high - low) * uniform(); }

float RandomStream::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const double radius = std::sqrt(-2.0 * std::log((static_cast<double>(bits()) + 1.0) * 0x1p-32));
  const double angle = 2.0 * std::numbers::pi * static_cast<double>(bits()) * 0x1p-32;
  has_spare_ = true;
  spare_ = static_cast<float>(radius * std::sin(angle));
  return static_cast<float>(radius * std::cos(angle));
}

std::uint32_t RandomStream::below(std::uint32_t bound) {
  const std::uint32_t reject_below = (0u - bound) % bound;  // 2^32 mod bound: rejecting these leaves no bias
  for (;;) {
    const std::uint64_t product = std::uint64_t{bits()} * bound;
    if (static_cast<std::uint32_t>(product) >= reject_below) return static_cast<std::uint32_t>(product >> 32);
  }
}

}  // namespace qtrain
