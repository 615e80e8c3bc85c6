#include "engine/arena_plan.hpp"

#include <doctest/doctest.h>

#include "base/random.hpp"

using namespace qtrain;
using engine::Life;

TEST_CASE("tensors that never live together share bytes") {
  const auto plan = engine::plan_arena({{1000, 0, 1}, {1000, 2, 3}, {64, 1, 2}});
  CHECK(plan.bytes == 1024 + 64);
  CHECK(plan.offsets[0] == plan.offsets[1]);
}

TEST_CASE("tensors alive at one step never overlap") {
  RandomStream random(11, Purpose::test);
  for (int round = 0; round < 200; ++round) {
    std::vector<Life> lives;
    for (int k = 0; k < 30; ++k) {
      const int first = static_cast<int>(random.below(40));
      lives.push_back({random.below(5000) + 1, first, first + static_cast<int>(random.below(10))});
    }
    const auto plan = engine::plan_arena(lives);
    for (std::size_t x = 0; x < lives.size(); ++x) {
      CHECK(plan.offsets[x] % 64 == 0);
      CHECK(plan.offsets[x] + lives[x].bytes <= plan.bytes);
      for (std::size_t y = 0; y < x; ++y) {
        const bool together = lives[x].first <= lives[y].last && lives[y].first <= lives[x].last;
        const bool apart = plan.offsets[x] + lives[x].bytes <= plan.offsets[y] ||
                           plan.offsets[y] + lives[y].bytes <= plan.offsets[x];
        CHECK((!together || apart));
      }
    }
  }
}
