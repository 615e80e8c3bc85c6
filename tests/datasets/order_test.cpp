#include "datasets/order.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "base/random.hpp"

namespace qtrain::datasets {
namespace {

TEST_CASE("order: a permutation that follows from seed and epoch alone") {
  const std::vector<int> order = epoch_order({.seed = 3, .epoch = 2}, 1000, true);
  CHECK(order == epoch_order({.seed = 3, .epoch = 2}, 1000, true));
  CHECK(order != epoch_order({.seed = 3, .epoch = 3}, 1000, true));
  CHECK(order != epoch_order({.seed = 4, .epoch = 2}, 1000, true));
  std::vector<int> sorted = order, all(1000);
  std::sort(sorted.begin(), sorted.end());
  std::iota(all.begin(), all.end(), 0);
  CHECK(sorted == all);
  CHECK(order != all);
  CHECK(epoch_order({.seed = 3, .epoch = 2}, 1000, false) == all);
  CHECK(epoch_order({}, 0, true).empty());
}

TEST_CASE("order: each of the 6 permutations of 3 comes about equally often") {
  std::array<int, 27> seen{};
  for (int epoch = 0; epoch < 6000; ++epoch) {
    const auto order = epoch_order({.seed = 1, .epoch = epoch}, 3, true);
    ++seen[static_cast<std::size_t>(9 * order[0] + 3 * order[1] + order[2])];
  }
  CHECK(std::count(seen.begin(), seen.end(), 0) == 21);
  for (const int times : seen)
    if (times > 0) CHECK(std::abs(times - 1000) < 150);  // 5 standard deviations
}

TEST_CASE("placement: shifts uniform in [-p, p], flips one in two, each independent of the other's setting") {
  std::array<int, 9> down{}, right{};
  int flips = 0;
  for (int sample = 0; sample < 9000; ++sample) {
    constexpr Shifts kFour{-4, 4, -4, 4};
    const Placement both = draw_placement({.seed = 5, .epoch = 1}, sample, kFour, true);
    ++down[static_cast<std::size_t>(both.down + 4)];
    ++right[static_cast<std::size_t>(both.right + 4)];
    flips += both.flip;
    const Placement only_flip = draw_placement({.seed = 5, .epoch = 1}, sample, {}, true);
    const Placement only_crop = draw_placement({.seed = 5, .epoch = 1}, sample, kFour, false);
    REQUIRE((only_flip.down == 0 && only_flip.right == 0 && only_flip.flip == both.flip));
    REQUIRE((only_crop.down == both.down && only_crop.right == both.right && !only_crop.flip));
  }
  for (const int times : down) CHECK(std::abs(times - 1000) < 150);
  for (const int times : right) CHECK(std::abs(times - 1000) < 150);
  CHECK(std::abs(flips - 4500) < 240);
}

TEST_CASE("placement: flip, down and right, drawn in this order from the stream of the sample") {
  for (int sample = 0; sample < 50; ++sample) {
    RandomStream random(7, Purpose::augmentation, 3, static_cast<std::uint32_t>(sample));
    const bool flip = random.below(2) == 1;
    const int down = static_cast<int>(random.below(9)) - 4, right = static_cast<int>(random.below(9)) - 4;
    const Placement placement = draw_placement({.seed = 7, .epoch = 3}, sample, {-4, 4, -4, 4}, true);
    CHECK((placement.flip == flip && placement.down == down && placement.right == right));
  }
}

TEST_CASE("placement: crops begin anywhere from the first to the last place") {
  std::array<int, 9> down{}, right{};
  for (int sample = 0; sample < 9000; ++sample) {
    const Placement placement = draw_placement({.seed = 5, .epoch = 1}, sample, {0, 8, 0, 2}, false);
    ++down[static_cast<std::size_t>(placement.down)];
    ++right[static_cast<std::size_t>(placement.right)];
  }
  for (const int times : down) CHECK(std::abs(times - 1000) < 150);
  for (std::size_t k = 0; k < 9; ++k) CHECK((k < 3 ? std::abs(right[k] - 3000) < 250 : right[k] == 0));
}

TEST_CASE("colours: uniform in their ranges, each independent of the other's") {
  const std::array<double, 2> range = {0.2, 1.8};
  double brightness = 0, squares = 0, contrast = 0;
  for (int sample = 0; sample < 10000; ++sample) {
    const EpochOrder order{.seed = 5, .epoch = 1};
    const Colours both = draw_colours(order, sample, 63, range);
    REQUIRE(std::abs(both.brightness) <= 63.0f / 255.0f);
    REQUIRE((both.contrast >= 0.2f && both.contrast <= 1.8f));
    brightness += both.brightness;
    squares += static_cast<double>(both.brightness) * both.brightness;
    contrast += both.contrast;
    const Colours one = draw_colours(order, sample, 63, {}), other = draw_colours(order, sample, 0, range);
    REQUIRE((one.brightness == both.brightness && one.contrast == 1));
    REQUIRE((other.brightness == 0 && other.contrast == both.contrast));
  }
  CHECK(std::abs(brightness / 10000) < 0.008);  // 5 standard deviations
  CHECK(squares / 10000 == doctest::Approx(63.0 / 255 * 63 / 255 / 3).epsilon(0.05));
  CHECK(contrast / 10000 == doctest::Approx(1).epsilon(0.025));
}

}  // namespace
TEST_CASE("split_order: each worker keeps to its own images, every image once an epoch") {
  for (const int workers : {1, 2, 3, 4})
    for (const auto& [count, batch] : {std::pair{96, 32}, {100, 32}, {7, 4}, {5, 8}}) {
      std::vector<std::set<int>> before;
      for (const int epoch : {0, 1}) {
        const std::vector<int> order = split_order({.seed = 3, .epoch = epoch}, count, true, batch, workers);
        CHECK(std::set<int>(order.begin(), order.end()).size() == static_cast<std::size_t>(count));
        std::vector<std::set<int>> own(static_cast<std::size_t>(workers));
        for (int first = 0; first < count; first += batch)
          for (int n = 0; n < workers; ++n) {
            const int total = std::min(batch, count - first);
            for (int i = part_begin(total, n, workers); i < part_begin(total, n + 1, workers); ++i)
              own[static_cast<std::size_t>(n)].insert(order[static_cast<std::size_t>(first + i)]);
          }
        if (epoch == 1) CHECK(own == before);
        before = own;
      }
    }
  CHECK(split_order({.seed = 3, .epoch = 0}, 96, true, 32, 2) !=
        split_order({.seed = 3, .epoch = 1}, 96, true, 32, 2));
  CHECK(split_order({.seed = 3, .epoch = 0}, 4, false, 4, 2) == std::vector<int>{0, 1, 2, 3});
}

}  // namespace qtrain::datasets
