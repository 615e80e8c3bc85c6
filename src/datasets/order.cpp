#include "datasets/order.hpp"

#include <numeric>
#include <utility>

#include "base/random.hpp"

namespace qtrain::datasets {

std::vector<int> epoch_order(const EpochOrder& order, int count, bool shuffle) {
  std::vector<int> samples(static_cast<std::size_t>(count));
  std::iota(samples.begin(), samples.end(), 0);
  if (!shuffle) return samples;
  RandomStream random(order.seed, Purpose::data_order, static_cast<std::uint32_t>(order.epoch));
  for (std::size_t left = samples.size(); left > 1; --left)
    std::swap(samples[left - 1], samples[random.below(static_cast<std::uint32_t>(left))]);
  return samples;
}

Placement draw_placement(const EpochOrder& order, int sample, int padding, bool may_flip) {
  RandomStream random(order.seed, Purpose::augmentation, static_cast<std::uint32_t>(order.epoch),
                      static_cast<std::uint32_t>(sample));
  const bool flip = random.below(2) == 1;
  const auto places = static_cast<std::uint32_t>(2 * padding + 1);
  const int down = static_cast<int>(random.below(places)) - padding;
  const int right = static_cast<int>(random.below(places)) - padding;
  return {.down = down, .right = right, .flip = flip && may_flip};
}

}  // namespace qtrain::datasets
