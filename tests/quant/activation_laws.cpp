// Laws that hold for every registered activation quantizer at every bit width, and for every registered STE.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <set>

#include "base/random.hpp"
#include "quant/activation.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

constexpr float kInfinite = std::numeric_limits<float>::infinity();
using Values = std::vector<float>;

/// Values around everything that matters between -2 high and 2 high, rising; -0, 0 and boundaries included.
Values rising_inputs(float high, int levels) {
  Values x = {-kInfinite, -1e30F, 0.0F, -0.0F, 1e-30F, 1e30F, kInfinite, high, -high};
  RandomStream random(3, Purpose::test);
  for (int i = 0; i < 500; ++i) x.push_back(random.uniform(-2 * high, 2 * high));
  for (int level = 0; level <= levels; ++level) {
    const float boundary = high * static_cast<float>(level) / static_cast<float>(levels);
    for (const float towards : {-kInfinite, kInfinite}) x.push_back(std::nextafter(boundary, towards));
    x.push_back(boundary);
  }
  std::ranges::sort(x);
  return x;
}

template <class Check>
void for_each_quantizer(Check check) {
  for (const ActivationEntry& entry : activation_quantizers()) {
    for (int bits = 1; bits <= entry.most_bits; ++bits) {
      const std::string name = entry.name;
      CAPTURE(name);
      CAPTURE(bits);
      check(read_spec<ActivationSpec>(fmt::format("{{quantizer: {}, bits: {}}}", name, bits)), bits);
    }
  }
}

/// mu'(x) with saturation at `high`, written again from the papers; a new STE adds its line.
const std::map<std::string, std::function<float(float x, float high)>> kDerivatives = {
    {"identity", [](float, float) { return 1.0F; }},
    {"relu", [](float x, float) { return x > 0 ? 1.0F : 0.0F; }},
    {"clipped_relu", [](float x, float high) { return x > 0 && x <= high ? 1.0F : 0.0F; }},
};

}  // namespace

TEST_CASE("activation laws: codes are integers in range, rise with x and saturate") {
  for_each_quantizer([](const ActivationSpec& spec, int bits) {
    const auto quantizer = spec.make({"act", {8, 4, 4}});
    const int lowest = quantizer->lowest_code();
    const int highest = quantizer->highest_code();
    CHECK(quantizer->levels() <= 1 << bits);
    CHECK(quantizer->scale() > 0);
    const ActivationRange range = quantizer->range();
    const Values x = rising_inputs(range.high, highest);
    Values codes(x.size());
    quantizer->forward(x, codes);

    CHECK(std::ranges::all_of(codes, [&](float code) {
      return code == std::round(code) && code >= static_cast<float>(lowest) &&
             code <= static_cast<float>(highest);
    }));
    CHECK(std::ranges::is_sorted(codes));
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (x[i] >= range.high && codes[i] != static_cast<float>(highest)) ++wrong;
      if (x[i] <= range.low && codes[i] != static_cast<float>(lowest)) ++wrong;
    }
    CHECK(wrong == 0);
    const std::set<float> distinct(codes.begin(), codes.end());
    CHECK(distinct.size() == static_cast<std::size_t>(quantizer->levels()));
  });
}

TEST_CASE("activation laws: forward in place and in parts gives the same codes") {
  for_each_quantizer([](const ActivationSpec& spec, int) {
    const auto quantizer = spec.make({"act", {8, 4, 4}});
    const Values x = rising_inputs(quantizer->range().high, quantizer->highest_code());
    Values codes(x.size());
    quantizer->forward(x, codes);
    Values in_place = x;
    quantizer->forward(in_place, in_place);
    CHECK(in_place == codes);
    Values in_parts = x;
    for (std::size_t start = 0, size = 1; start < x.size(); start += size, size = size % 70 + 1) {
      const auto part = std::span(in_parts).subspan(start, std::min(size, x.size() - start));
      quantizer->forward(part, part);
    }
    CHECK(in_parts == codes);
  });
}

// A quantizer that can learn its step does so by `alpha: learned`; others may learn something by default.
TEST_CASE("activation laws: bound to its initial values a quantizer stays what it was") {
  for (const ActivationEntry& entry : activation_quantizers()) {
    const std::string name = entry.name;
    CAPTURE(name);
    const std::string learning = fmt::format("{{quantizer: {}, alpha: learned}}", name);
    const bool can_learn = mistakes_of<ActivationSpec>(learning).empty();
    const auto spec = read_spec<ActivationSpec>(can_learn ? learning : "quantizer: " + name);
    const auto quantizer = spec.make({"act", {8, 4, 4}});
    const ActivationRange range = quantizer->range();
    const float scale = quantizer->scale();
    Values storage;
    for (const LearnedParameter& parameter : quantizer->learned()) {
      for (const float value : parameter.initial) {
        CHECK(value >= parameter.low);
        CHECK(value <= parameter.high);
        storage.push_back(value);
      }
    }
    if (can_learn) CHECK_FALSE(storage.empty());
    if (!storage.empty()) quantizer->bind(storage);
    CHECK(quantizer->scale() == scale);
    CHECK(quantizer->range().low == range.low);
    CHECK(quantizer->range().high == range.high);
  }
}

TEST_CASE("STE laws: multiply is the derivative, re-derived, times g") {
  for (const SteEntry& entry : stes()) {
    const std::string name = entry.name;
    CAPTURE(name);
    REQUIRE(kDerivatives.contains(name));
    const auto ste = read_spec<ActivationSpec>("{quantizer: quantized_relu, ste: " + name + "}").make_ste();
    for (const float high : {0.5F, 3.0F}) {
      const ActivationRange range{.low = 0, .high = high};
      const Values x = rising_inputs(high, 3);
      Values g(x.size());
      for (std::size_t i = 0; i < g.size(); ++i) g[i] = 1 - 0.01F * static_cast<float>(i);
      Values expected = g;
      for (std::size_t i = 0; i < g.size(); ++i) expected[i] *= kDerivatives.at(name)(x[i], high);
      ste->multiply(x, range, g);
      CHECK(g == expected);
    }
  }
}

TEST_CASE("activation laws: each pair with an STE is taken, or refused with the quantizer's reason") {
  for (const ActivationEntry& quantizer : activation_quantizers()) {
    for (const SteEntry& ste : stes()) {
      const std::string pair = fmt::format("{{quantizer: {}, ste: {}}}", quantizer.name, ste.name);
      CAPTURE(pair);
      const std::string refusal = quantizer.refuses(ste.name);
      const std::string mistakes = mistakes_of<ActivationSpec>(pair);
      if (refusal.empty())
        CHECK(mistakes == "");
      else
        CHECK(mistakes.find(refusal) != std::string::npos);
    }
  }
}

}  // namespace qtrain::quant
