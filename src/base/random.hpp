#pragma once
#include <array>
#include <cstdint>

namespace qtrain {

/// What a random stream is for; part of its key, so no two uses share numbers. Append only: the value is
/// numerics.
enum class Purpose : std::uint32_t {
  initial_weights = 1,
  data_order = 2,
  augmentation = 3,
  generated_data = 4,
  stochastic_weights = 5,
  test = 6,
  stochastic_gradients = 7,
  propagated_gradients = 8,
  worker_split = 9,
  dropout = 10,
};

/// Counter-based random stream (Philox4x32-10 of Random123), keyed by (seed, purpose, a, b, c): the same key
/// gives the same numbers on every machine, thread and order of creation. Meaning of a, b, c is the user's:
/// layer, worker, step, sample.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t a = 0, std::uint32_t b = 0,
               std::uint32_t c = 0);

  std::uint32_t bits();                      ///< 32 random bits
  float uniform();                           ///< in [0, 1), 24 bits
  float uniform(float low, float high);      ///< in [low, high)
  float normal();                            ///< N(0, 1), Box-Muller
  std::uint32_t below(std::uint32_t bound);  ///< unbiased integer in [0, bound), bound > 0

 private:
  void refill();
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> block_{};
  unsigned next_ = 4;
  bool has_spare_ = false;
  float spare_ = 0;
};

}  // namespace qtrain
