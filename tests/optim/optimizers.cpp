// Every update rule against its equations in double precision, and laws over the registry.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "base/random.hpp"
#include "optim/optimizer.hpp"
#include "read_spec.hpp"

namespace qtrain::optim {
namespace {

constexpr double kRate = 0.05;
constexpr double kDecay = 0.01;

/// Parameters with an optimizer's arrays, as the trainer keeps them.
struct Parameters {
  std::vector<float> u;
  std::vector<std::vector<float>> slots;

  Parameters(const Optimizer& rule, std::size_t size) : u(size), slots(rule.slot_names().size()) {
    RandomStream random(4, Purpose::test);
    for (float& value : u) value = random.normal();
    for (auto& slot : slots) slot.resize(size);
  }
  /// Updates the elements [first, first + count).
  void update(const Optimizer& rule, std::span<const float> g, std::int64_t step, std::size_t first,
              std::size_t count) {
    std::vector<std::span<float>> parts;
    for (auto& slot : slots) parts.push_back(std::span(slot).subspan(first, count));
    rule.update({.u = std::span(u).subspan(first, count),
                 .g = g.subspan(first, count),
                 .slots = parts,
                 .learning_rate = kRate / static_cast<double>(step + 1),
                 .weight_decay = kDecay,
                 .step = step});
  }
};

std::vector<float> gradient_of(std::size_t size, std::uint32_t step) {
  RandomStream random(4, Purpose::test, 1, step);
  std::vector<float> g(size);
  for (float& value : g) value = random.normal();
  return g;
}

/// One parameter moved over the steps: u = rule(u, g, rate, step), its memory kept inside.
using Scalar = std::function<double(double u, double g, double rate, int step)>;

Scalar sgd(double momentum, bool nesterov) {
  return [=, v = 0.0](double u, double g, double rate, int) mutable {
    const double d = g + kDecay * u;
    v = momentum * v + d;
    return u - rate * (nesterov ? d + momentum * v : v);
  };
}

Scalar adam(double beta1, double beta2, double epsilon) {
  return [=, m = 0.0, v = 0.0](double u, double g, double rate, int step) mutable {
    const double d = g + kDecay * u;
    m = beta1 * m + (1 - beta1) * d;
    v = beta2 * v + (1 - beta2) * d * d;
    const double m_hat = m / (1 - std::pow(beta1, step + 1));
    const double v_hat = v / (1 - std::pow(beta2, step + 1));
    return u - rate * m_hat / (std::sqrt(v_hat) + epsilon);
  };
}

Scalar rms_prop(double decay, double epsilon, double momentum) {
  return [=, v = 0.0, b = 0.0](double u, double g, double rate, int) mutable {
    const double d = g + kDecay * u;
    v = decay * v + (1 - decay) * d * d;
    b = momentum * b + d / (std::sqrt(v) + epsilon);
    return u - rate * b;
  };
}

/// Spec of each rule and its equations; a new rule adds its lines.
const std::map<std::string, std::function<Scalar()>> kEquations = {
    {"{name: sgd}", [] { return sgd(0.9, false); }},
    {"{name: sgd, momentum: 0}", [] { return sgd(0, false); }},
    {"{name: sgd, momentum: 0.8, nesterov: true}", [] { return sgd(0.8, true); }},
    {"{name: adam}", [] { return adam(0.9, 0.999, 1e-8); }},
    {"{name: adam, beta1: 0.5, beta2: 0.9, epsilon: 0.1}", [] { return adam(0.5, 0.9, 0.1); }},
    {"{name: rms_prop}", [] { return rms_prop(0.99, 1e-8, 0); }},
    {"{name: rms_prop, decay: 0.9, epsilon: 0.1}", [] { return rms_prop(0.9, 0.1, 0); }},
    {"{name: rms_prop, decay: 0.8, momentum: 0.5}", [] { return rms_prop(0.8, 1e-8, 0.5); }},
};

}  // namespace

TEST_CASE("optimizers: twenty steps agree with the equations in double precision") {
  for (const auto& row : kEquations) {
    CAPTURE(row.first);
    const auto spec = read_spec<OptimizerSpec>(row.first);
    constexpr std::size_t kSize = 37;
    Parameters parameters(*spec.rule, kSize);
    std::vector<double> expected(parameters.u.begin(), parameters.u.end());
    std::vector<Scalar> scalars(kSize);
    for (Scalar& scalar : scalars) scalar = row.second();
    for (int step = 0; step < 20; ++step) {
      const auto g = gradient_of(kSize, static_cast<std::uint32_t>(step));
      parameters.update(*spec.rule, g, step, 0, kSize);
      for (std::size_t i = 0; i < kSize; ++i)
        expected[i] = scalars[i](expected[i], static_cast<double>(g[i]), kRate / (step + 1), step);
    }
    double difference = 0;
    for (std::size_t i = 0; i < kSize; ++i)
      difference = std::max(difference, std::abs(static_cast<double>(parameters.u[i]) - expected[i]));
    CHECK(difference < 3e-6);
  }
}

// By hand: v = 0.01 * 9 = 0.09, d / sqrt(v) = 10; then v = 0.99 * 0.09 + 0.01 * 16 = 0.2491.
TEST_CASE("rms_prop: two steps on one parameter") {
  for (const bool moves : {false, true}) {
    CAPTURE(moves);
    const auto spec = read_spec<OptimizerSpec>(moves ? "{name: rms_prop, momentum: 0.5}" : "name: rms_prop");
    CHECK(spec.rule->slot_names().size() == (moves ? 2 : 1));
    std::vector<float> u = {1};
    std::vector<float> v(1);
    std::vector<float> b(1);
    const std::vector<std::span<float>> slots = {v, b};
    const auto step = [&](float gradient, std::int64_t index) {
      const std::vector<float> g = {gradient};
      spec.rule->update({.u = u, .g = g, .slots = slots, .learning_rate = 0.1, .step = index});
    };
    step(3, 0);
    CHECK(u[0] == doctest::Approx(0));
    CHECK(v[0] == doctest::Approx(0.09));
    step(-4, 1);
    CHECK(v[0] == doctest::Approx(0.2491));
    const double second = -4 / std::sqrt(0.2491);
    CHECK(u[0] == doctest::Approx(moves ? -0.1 * (0.5 * 10 + second) : -0.1 * second));
  }
}

TEST_CASE("optimizers: every registered rule has its equations above") {
  for (const OptimizerEntry& entry : optimizers()) {
    const std::string name = entry.name;
    CAPTURE(name);
    CHECK(std::ranges::any_of(kEquations, [&](const auto& row) {
      return row.first.starts_with("{name: " + name + "}") || row.first.starts_with("{name: " + name + ",");
    }));
  }
}

TEST_CASE("optimizers: a slice cut anywhere gives the same bits") {
  for (const auto& row : kEquations) {
    CAPTURE(row.first);
    const auto spec = read_spec<OptimizerSpec>(row.first);
    constexpr std::size_t kSize = 200;
    Parameters whole(*spec.rule, kSize);
    Parameters cut = whole;
    for (int step = 0; step < 3; ++step) {
      const auto g = gradient_of(kSize, static_cast<std::uint32_t>(step));
      whole.update(*spec.rule, g, step, 0, kSize);
      for (std::size_t first = 0, count = 1; first < kSize; first += count, count = count * 2 + 1)
        cut.update(*spec.rule, g, step, first, std::min(count, kSize - first));
    }
    CHECK(cut.u == whole.u);
    CHECK(cut.slots == whole.slots);
  }
}

TEST_CASE("optimizers: the slot said to hold the second moment holds it") {
  for (const OptimizerEntry& entry : optimizers()) {
    const std::string name = entry.name;
    CAPTURE(name);
    const auto spec = read_spec<OptimizerSpec>("name: " + name);
    const int slot = spec.rule->second_moment_slot();
    if (slot < 0) continue;
    Parameters parameters(*spec.rule, 1);
    REQUIRE(static_cast<std::size_t>(slot) < parameters.slots.size());
    parameters.u[0] = 0;
    const std::vector<float> g = {3};
    parameters.update(*spec.rule, g, 0, 0, 1);
    const float once = parameters.slots[static_cast<std::size_t>(slot)][0];
    CHECK(once > 0);
    Parameters doubled(*spec.rule, 1);
    doubled.u[0] = 0;
    const std::vector<float> twice = {-6};
    doubled.update(*spec.rule, twice, 0, 0, 1);
    CHECK(doubled.slots[static_cast<std::size_t>(slot)][0] == doctest::Approx(4 * once));
  }
}

}  // namespace qtrain::optim
