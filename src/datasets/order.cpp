#include "datasets/order.hpp"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "base/random.hpp"

namespace qtrain::datasets {

namespace {

std::vector<int> counted(int count) {
  std::vector<int> samples(static_cast<std::size_t>(count));
  std::iota(samples.begin(), samples.end(), 0);
  return samples;
}

void permute(std::span<int> samples, RandomStream random) {
  for (std::size_t left = samples.size(); left > 1; --left)
    std::swap(samples[left - 1], samples[random.below(static_cast<std::uint32_t>(left))]);
}

}  // namespace

std::vector<int> epoch_order(const EpochOrder& order, int count, bool shuffle) {
  std::vector<int> samples = counted(count);
  if (shuffle)
    permute(samples, RandomStream(order.seed, Purpose::data_order, static_cast<std::uint32_t>(order.epoch)));
  return samples;
}

std::vector<int> split_order(const EpochOrder& order, int count, bool shuffle, int batch_size, int workers) {
  std::vector<int> sets = counted(count);
  if (shuffle) permute(sets, RandomStream(order.seed, Purpose::worker_split));
  std::vector<int> samples(sets.size());
  for (std::size_t begin = 0, worker = 0; worker < static_cast<std::size_t>(workers); ++worker) {
    const int n = static_cast<int>(worker);
    std::vector<std::size_t> places;  // of this worker, in the order of batches
    for (int batch = 0; batch < count; batch += batch_size) {
      const int total = std::min(batch_size, count - batch);
      for (int i = part_begin(total, n, workers); i < part_begin(total, n + 1, workers); ++i)
        places.push_back(static_cast<std::size_t>(batch + i));
    }
    const std::span<int> own = std::span(sets).subspan(begin, places.size());
    if (shuffle)
      permute(own, RandomStream(order.seed, Purpose::data_order, static_cast<std::uint32_t>(order.epoch),
                                static_cast<std::uint32_t>(n) + 1));
    for (std::size_t i = 0; i < places.size(); ++i) samples[places[i]] = own[i];
    begin += places.size();
  }
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
