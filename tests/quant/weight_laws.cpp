// Laws that hold for every registered weight method, on the tensors of a convolution, a linear layer and a
// bias.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/random.hpp"
#include "quant/weight_method.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

using Values = std::vector<float>;

Values random_weights(std::size_t size, std::uint32_t draw) {
  RandomStream random(1, Purpose::test, draw);
  Values values(size);
  for (float& value : values) value = 0.5F * random.normal();
  return values;
}

/// One method with everything that an engine keeps for it.
struct Trained {
  WeightTensor tensor;
  std::unique_ptr<WeightMethod> method;
  Values u, w, learned, learned_gradients, second_moment;
  WeightContext context;

  Trained(const std::string& name, const Shape& shape, const Values& initial)
      : tensor{"layer.weight", shape} {
    method = read_spec<WeightSpec>("{method: " + name + "}").make(tensor);
    for (const LearnedParameter& parameter : method->learned())
      learned.insert(learned.end(), parameter.initial.begin(), parameter.initial.end());
    learned_gradients.resize(learned.size());
    method->bind(learned, learned_gradients);
    u.resize(initial.size() * method->latents_per_weight());
    w.resize(initial.size());
    second_moment.assign(u.size(), 0.25F);
    context.steps_per_epoch = 4;
    context.epochs = 10;
    context.learning_rate = 0.1;
    context.base_learning_rate = 0.2;
    if (method->wants_second_moment()) context.second_moment = second_moment;
    method->initialize(initial, u);
  }

  /// What every training step begins with.
  void use() { method->used(u, context, w); }
  /// One step of plain gradient descent on a loss whose gradient at w is `draw`-dependent noise. As in the
  /// trainer, all hooks of a step have the context of that step.
  void step(std::uint32_t draw) {
    use();
    const Values gw = random_weights(w.size(), draw);
    Values gu(u.size());
    method->pulled(u, w, gw, context, gu);
    for (std::size_t i = 0; i < u.size(); ++i) u[i] -= 0.1F * gu[i];
    method->settled(u, context);
    ++context.step;
  }
  Values final() {
    Values result(w.size());
    method->final(u, context, result);
    return result;
  }
  std::vector<Values> state() const {
    std::vector<Values> copy;
    for (const std::span<float> part : method->state()) copy.emplace_back(part.begin(), part.end());
    return copy;
  }
  std::size_t group_size() const { return w.size() / method->scale_count(); }
};

/// Each method as it is by default, and what weight_variants.def adds.
std::vector<std::string> method_specs() {
  std::vector<std::string> specs = {
#define VARIANT(spec) spec,
#include "quant/weight_variants.def"
#undef VARIANT
  };
  for (const WeightEntry& entry : weight_methods()) specs.emplace_back(entry.name);
  return specs;
}

/// What is left of F(F(u)) = F(u) for a method whose F is by its definition no projection.
enum class Repeat { equal, equal_up_to_scale, nothing };

Repeat repeat_of(const std::string& spec) {
  // Each pass makes the scale smaller: a mean over zeros too, a factor below 1.
  if (spec == "twn, mean_over: all" || spec == "alternating, factor: 0.3") return Repeat::equal_up_to_scale;
  // tanh moves the levels, for more than 3 bits to other levels.
  if (spec == "dorefa, bits: 8") return Repeat::nothing;
  // From 3 bits on the greedy start need not find the signs again, nor a few refinements the way back.
  if (spec.starts_with("alternating, bits: 3") || spec.starts_with("alternating, bits: 8"))
    return Repeat::nothing;
  return Repeat::equal;
}

float largest(std::span<const float> values) {
  float result = 0;
  for (const float value : values) result = std::max(result, std::abs(value));
  return result;
}

template <class Check>
void for_each_method(Check check) {
  for (const std::string& name : method_specs()) {
    for (const Shape& shape : {Shape{8, 4, 3, 3}, Shape{10, 33}, Shape{24}}) {
      CAPTURE(name);
      CAPTURE(to_string(shape));
      check(name, shape, random_weights(element_count(shape), 7));
    }
  }
}

}  // namespace

TEST_CASE("weight laws: final weights take at most 2^bits values a scale") {
  for_each_method([](const std::string& name, const Shape& shape, const Values& initial) {
    Trained trained(name, shape, initial);
    for (std::uint32_t draw = 0; draw < 5; ++draw) trained.step(draw);
    const int bits = trained.method->bits();
    CHECK(bits >= 1);
    if (bits > 16) return;
    const Values w = trained.final();
    for (std::size_t start = 0; start < w.size(); start += trained.group_size()) {
      const auto first = w.begin() + static_cast<std::ptrdiff_t>(start);
      const std::set<float> levels(first, first + static_cast<std::ptrdiff_t>(trained.group_size()));
      CHECK(levels.size() <= std::size_t{1} << bits);
      CHECK(levels.size() > 1);
    }
  });
}

TEST_CASE("weight laws: codes are integers and times their scale give the used weights exactly") {
  for_each_method([](const std::string& name, const Shape& shape, const Values& initial) {
    Trained trained(name, shape, initial);
    trained.step(0);
    trained.use();
    const std::size_t scale_count = trained.method->scale_count();
    const bool one_or_each = scale_count == 1 || scale_count == trained.tensor.outputs();
    CHECK(one_or_each);
    Values codes(trained.w.size());
    Values scales(scale_count);
    const bool has_codes = trained.method->codes(trained.w, codes, scales);
    const std::optional<CodeRange> range = trained.method->code_range();
    if (range) REQUIRE(has_codes);
    if (!has_codes) return;
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      if (range &&
          (codes[i] < static_cast<float>(range->lowest) || codes[i] > static_cast<float>(range->highest)))
        ++wrong;
      if (range &&
          std::fmod(codes[i] - static_cast<float>(range->lowest), static_cast<float>(range->step)) != 0)
        ++wrong;
      const bool exact = scales[i / trained.group_size()] * codes[i] == trained.w[i];
      if (!exact || codes[i] != std::round(codes[i])) ++wrong;
    }
    CHECK(wrong == 0);
  });
}

// F(F(u)) = F(u): taken as initial weights, final weights come out again (up to the rounding of a scale that
// is a mean). Where values are learned, that may be so with those learned before (a step size) or with those
// that a start from the final weights gives (an interval that is mapped to [0, 1]). XNOR-Net centres initial
// weights, so there they are taken as the latent ones.
TEST_CASE("weight laws: final weights map to themselves") {
  for_each_method([](const std::string& name, const Shape& shape, const Values& initial) {
    const Repeat repeat = repeat_of(name);
    if (repeat == Repeat::nothing) return;
    Trained first(name, shape, initial);
    const Values quantized = first.final();
    const auto distance = [&](const Values& again) {
      float difference = 0;
      for (std::size_t start = 0; start < again.size(); start += first.group_size()) {
        const auto group = std::span(quantized).subspan(start, first.group_size());
        const auto other = std::span(again).subspan(start, first.group_size());
        const float factor = repeat == Repeat::equal ? 1 : largest(group) / largest(other);
        for (std::size_t i = 0; i < group.size(); ++i)
          difference = std::max(difference, std::abs(factor * other[i] - group[i]));
      }
      return difference;
    };
    Trained second(name, shape, quantized);
    if (name.starts_with("xnor")) second.u = quantized;
    const float started = distance(second.final());
    std::ranges::copy(first.learned, second.learned.begin());
    CHECK(std::min(started, distance(second.final())) <= 1e-6F);
  });
}

TEST_CASE("weight laws: sign(0) = sign(-0) = +1 where weights have one bit") {
  for_each_method([](const std::string& name, const Shape& shape, const Values& initial) {
    Trained trained(name, shape, initial);
    if (trained.method->bits() != 1 || trained.method->latents_per_weight() != 1) return;
    trained.u[0] = 0.0F;
    trained.u[1] = -0.0F;
    const Values w = trained.final();
    CHECK(w[0] > 0);
    CHECK(w[1] > 0);
  });
}

TEST_CASE("weight laws: zero and huge latent values give finite weights") {
  for_each_method([](const std::string& name, const Shape& shape, const Values& initial) {
    for (const float factor : {0.0F, -0.0F, 1e-30F, 1e30F}) {
      Values scaled = initial;
      for (float& value : scaled) value *= factor;
      Trained trained(name, shape, scaled);
      trained.step(0);
      trained.use();
      CHECK(std::ranges::all_of(trained.u, [](float value) { return std::isfinite(value); }));
      CHECK(std::ranges::all_of(trained.w, [](float value) { return std::isfinite(value); }));
      CHECK(std::ranges::all_of(trained.final(), [](float value) { return std::isfinite(value); }));
    }
  });
}

TEST_CASE("weight laws: the same inputs give the same bits") {
  for_each_method([](const std::string& name, const Shape& shape, const Values& initial) {
    Trained one(name, shape, initial);
    Trained other(name, shape, initial);
    for (std::uint32_t draw = 0; draw < 6; ++draw) {
      one.step(draw);
      other.step(draw);
    }
    CHECK(one.u == other.u);
    CHECK(one.w == other.w);
    CHECK(one.final() == other.final());
  });
}

TEST_CASE("weight laws: final and used to evaluate leave the training as it is") {
  for_each_method([](const std::string& name, const Shape& shape, const Values& initial) {
    Trained trained(name, shape, initial);
    trained.step(0);
    const auto state = trained.state();
    const Values learned = trained.learned;
    const Values latent = trained.u;
    CHECK(trained.final() == trained.final());
    WeightContext evaluation = trained.context;
    evaluation.evaluation = true;
    Values first(trained.w.size()), second(trained.w.size());
    trained.method->used(trained.u, evaluation, first);
    trained.method->used(trained.u, evaluation, second);
    CHECK(first == second);
    CHECK(trained.state() == state);
    CHECK(trained.learned == learned);
    CHECK(trained.u == latent);
  });
}

TEST_CASE("weight laws: latent and learned values and state restore a training exactly") {
  for_each_method([](const std::string& name, const Shape& shape, const Values& initial) {
    Trained undisturbed(name, shape, initial);
    for (std::uint32_t draw = 0; draw < 5; ++draw) undisturbed.step(draw);

    Trained resumed(name, shape, random_weights(initial.size(), 8));
    resumed.u = undisturbed.u;
    resumed.context.step = undisturbed.context.step;
    std::ranges::copy(undisturbed.learned, resumed.learned.begin());
    const auto saved = undisturbed.state();
    const auto parts = resumed.method->state();
    REQUIRE(parts.size() == saved.size());
    for (std::size_t part = 0; part < parts.size(); ++part)
      std::ranges::copy(saved[part], parts[part].begin());

    for (std::uint32_t draw = 5; draw < 9; ++draw) {
      undisturbed.step(draw);
      resumed.step(draw);
    }
    CHECK(resumed.u == undisturbed.u);
    CHECK(resumed.w == undisturbed.w);
    CHECK(resumed.final() == undisturbed.final());
  });
}

}  // namespace qtrain::quant
