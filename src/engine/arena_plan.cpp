#include "engine/arena_plan.hpp"

#include <algorithm>
#include <numeric>

namespace qtrain::engine {

ArenaPlan plan_arena(const std::vector<Life>& lives) {
  constexpr std::size_t kAlignment = 64;
  ArenaPlan plan;
  plan.offsets.assign(lives.size(), 0);
  std::vector<std::size_t> order(lives.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order,
                           [&](std::size_t x, std::size_t y) { return lives[x].bytes > lives[y].bytes; });

  std::vector<std::size_t> placed;  // by offset
  for (const std::size_t id : order) {
    const std::size_t bytes = (lives[id].bytes + kAlignment - 1) / kAlignment * kAlignment;
    std::size_t offset = 0;
    for (const std::size_t other : placed) {
      const bool together = lives[other].first <= lives[id].last && lives[id].first <= lives[other].last;
      if (!together) continue;
      if (plan.offsets[other] >= offset + bytes) break;
      const std::size_t end =
          plan.offsets[other] + (lives[other].bytes + kAlignment - 1) / kAlignment * kAlignment;
      offset = std::max(offset, end);
    }
    plan.offsets[id] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    const auto place =
        std::ranges::upper_bound(placed, offset, {}, [&](std::size_t p) { return plan.offsets[p]; });
    placed.insert(place, id);
  }
  return plan;
}

}  // namespace qtrain::engine
