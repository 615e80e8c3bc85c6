#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "base/random.hpp"
#include "engine/engine.hpp"

namespace qtrain::engine::test {

/// How far a gradient may be from the difference: absolute + relative * |difference|.
struct Tolerance {
  double step, absolute, relative;
};

/// Central difference of the mean loss along a random direction of each tensor against gradient . direction.
/// loss_now() gives the loss of the latents as they are and leaves its gradient.
template <class LossNow>
void check_finite_differences(Engine& engine, const LossNow& loss_now, const Tolerance& tolerance) {
  loss_now();
  const std::vector<float> gradient(engine.gradients().begin(), engine.gradients().end());
  RandomStream random(7, Purpose::test);
  for (const ParameterSlot& slot : engine.slots()) {
    const auto u = engine.latents().subspan(slot.offset, slot.size);
    const std::vector<float> start(u.begin(), u.end());
    std::vector<float> direction(slot.size);
    double length = 0, dot = 0;
    for (float& d : direction) {
      d = random.normal();
      length += static_cast<double>(d) * d;
    }
    for (std::size_t k = 0; k < slot.size; ++k) {
      direction[k] = static_cast<float>(direction[k] / std::sqrt(length));
      dot += static_cast<double>(direction[k]) * gradient[slot.offset + k];
    }
    const auto at = [&](double step) {
      for (std::size_t k = 0; k < slot.size; ++k) u[k] = start[k] + static_cast<float>(step) * direction[k];
      return loss_now();
    };
    const double difference = (at(tolerance.step) - at(-tolerance.step)) / (2 * tolerance.step);
    at(0);
    INFO(slot.name, ": gradient ", dot, ", difference ", difference);
    CHECK(std::abs(dot - difference) < tolerance.absolute + tolerance.relative * std::abs(difference));
  }
}

}  // namespace qtrain::engine::test
