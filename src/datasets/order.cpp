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

Placement draw_placement(const EpochOrder& order, int sample, const Shifts& shifts, bool may_flip) {
  RandomStream random(order.seed, Purpose::augmentation, static_cast<std::uint32_t>(order.epoch),
                      static_cast<std::uint32_t>(sample));
  const auto draw = [&](int first, int last) {
    return first + static_cast<int>(random.below(static_cast<std::uint32_t>(last - first + 1)));
  };
  const bool flip = random.below(2) == 1;
  const int down = draw(shifts.first_down, shifts.last_down);
  const int right = draw(shifts.first_right, shifts.last_right);
  return {.down = down, .right = right, .flip = flip && may_flip};
}

Colours draw_colours(const EpochOrder& order, int sample, double largest, std::span<const double> contrast) {
  constexpr std::uint32_t kColours = 1;  // the placement's stream has 0 here
  RandomStream random(order.seed, Purpose::augmentation, static_cast<std::uint32_t>(order.epoch),
                      static_cast<std::uint32_t>(sample), kColours);
  const auto most = static_cast<float>(largest / 255);
  const float brightness = random.uniform(-most, most);
  if (contrast.empty()) return {.brightness = brightness};
  return {.brightness = brightness,
          .contrast = random.uniform(static_cast<float>(contrast[0]), static_cast<float>(contrast[1]))};
}

}  // namespace qtrain::datasets
