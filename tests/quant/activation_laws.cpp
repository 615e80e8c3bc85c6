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
      // identity: the one STE that every quantizer takes
      check(read_spec<ActivationSpec>(fmt::format("{{quantizer: {}, bits: {}, ste: identity}}", name, bits)),
            bits);
    }
  }
}

/// Each quantizer at the default bits, learning all it can: one that can learn its step does so by `alpha:
/// learned`; others may learn something by default.
template <class Check>
void for_each_learning(Check check) {
  for (const ActivationEntry& entry : activation_quantizers()) {
    const std::string name = entry.name;
    CAPTURE(name);
    const std::string learning = fmt::format("{{quantizer: {}, ste: identity, alpha: learned}}", name);
    const bool can_learn = mistakes_of<ActivationSpec>(learning).empty();
    const std::string keys = can_learn ? learning : fmt::format("{{quantizer: {}, ste: identity}}", name);
    check(*read_spec<ActivationSpec>(keys).make({"act", {8, 4, 4}}), can_learn);
  }
}

/// The initial values of learned(), concatenated, each checked to be allowed.
Values initial_values(const ActivationQuantizer& quantizer) {
  Values storage;
  for (const LearnedParameter& parameter : quantizer.learned()) {
    for (const float value : parameter.initial) {
      CHECK(value >= parameter.low);
      CHECK(value <= parameter.high);
      storage.push_back(value);
    }
  }
  return storage;
}

/// The keys of some pair that has the STE.
std::string pair_with(const std::string& ste) {
  for (const ActivationEntry& entry : activation_quantizers())
    if (entry.refuses(ste).empty()) return fmt::format("{{quantizer: {}, ste: {}}}", entry.name, ste);
  return "";
}

/// mu'(x) / slope, written again from the papers, and by how much an approximation may be off it; a new STE
/// adds its line.
struct Derivative {
  std::function<double(float x, float low, float high)> at;
  double error = 0;
};
const std::map<std::string, Derivative> kDerivatives = {
    {"identity", {[](float, float, float) { return 1.0; }}},
    {"relu", {[](float x, float low, float) { return x > low ? 1.0 : 0.0; }}},
    {"clipped_relu", {[](float x, float low, float high) { return x > low && x <= high ? 1.0 : 0.0; }}},
    {"hard_tanh", {[](float x, float, float) { return std::abs(x) <= 1 ? 1.0 : 0.0; }}},
    {"approx_sign", {[](float x, float, float) {
       if (x < -1 || x >= 1) return 0.0F;
       return x < 0 ? 2 + 2 * x : 2 - 2 * x;
     }}},
    {"log_tailed_relu", {[](float x, float low, float high) {
       return x <= low ? 0 : x <= high ? 1 : 1 / (x - high + 1);
     }}},
    {"reverse_exponential",
     {[](float x, float low, float high) {
        const auto from = static_cast<double>(x) - static_cast<double>(low);
        return x > low ? std::exp(-from / static_cast<double>(high - low)) : 0;
      },
      3e-7}},
    {"swish_sign",
     {[](float x, float, float) {
        const double t = 5 * static_cast<double>(x);
        return std::abs(t) < 100 ? 5 * (2 - t * std::tanh(t / 2)) / (1 + std::cosh(t)) : 0;
      },
      5 * 3e-7}},
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

TEST_CASE("activation laws: bound to its initial values a quantizer stays what it was") {
  for_each_learning([](ActivationQuantizer& quantizer, bool can_learn) {
    const ActivationRange range = quantizer.range();
    const float scale = quantizer.scale();
    const Values storage = initial_values(quantizer);
    if (can_learn) CHECK_FALSE(storage.empty());
    if (!storage.empty()) quantizer.bind(storage);
    CHECK(quantizer.scale() == scale);
    CHECK(quantizer.range().low == range.low);
    CHECK(quantizer.range().high == range.high);
    CHECK(quantizer.range().slope == range.slope);
  });
}

TEST_CASE("activation laws: a start from data is allowed and whole, whatever the data") {
  const std::vector<ActivationStatistics> all = {
      {}, {0.8, 3}, {0.7, -0.1F}, {1e-30, 1e-30F}, {1e30, 1e30F}, {1e30, -1e30F}};
  for_each_learning([&](ActivationQuantizer& quantizer, bool) {
    if (!quantizer.starts_from_data()) return;
    const std::size_t count = initial_values(quantizer).size();
    for (const ActivationStatistics& statistics : all) {
      CAPTURE(statistics.mean_positive);
      CAPTURE(statistics.largest);
      const Values started = quantizer.start(statistics);
      REQUIRE(started.size() == count);
      std::size_t k = 0;
      for (const LearnedParameter& parameter : quantizer.learned()) {
        for (std::size_t i = 0; i < parameter.initial.size(); ++i, ++k) {
          CHECK(std::isfinite(started[k]));
          CHECK(started[k] >= parameter.low);
          CHECK(started[k] <= parameter.high);
        }
      }
      quantizer.bind(started);
      const ActivationRange range = quantizer.range();
      CHECK(std::isfinite(quantizer.scale()));
      CHECK(quantizer.scale() > 0);
      CHECK(std::isfinite(range.slope));
      CHECK(range.low < range.high);
      Values x = {range.low, range.high, -kInfinite, kInfinite};
      quantizer.forward(x, x);
      const auto lowest = static_cast<float>(quantizer.lowest_code());
      const auto highest = static_cast<float>(quantizer.highest_code());
      CHECK(x == Values{lowest, highest, lowest, highest});
    }
  });
}

TEST_CASE("activation laws: gradients of learned values add up over parts, and are finite") {
  for_each_learning([](ActivationQuantizer& quantizer, bool) {
    const Values storage = initial_values(quantizer);
    if (storage.empty()) return;
    quantizer.bind(storage);
    const Values x = rising_inputs(quantizer.range().high, quantizer.highest_code());
    Values gy(x.size());
    RandomStream random(6, Purpose::test);
    for (float& value : gy) value = random.normal();
    std::vector<double> whole(storage.size());
    quantizer.learned_gradient(x, gy, whole);
    std::vector<double> parts(storage.size(), 100);
    for (std::size_t start = 0, size = 1; start < x.size(); start += size, size = size % 70 + 1) {
      const std::size_t count = std::min(size, x.size() - start);
      quantizer.learned_gradient(std::span(x).subspan(start, count), std::span(gy).subspan(start, count),
                                 parts);
    }
    for (std::size_t k = 0; k < whole.size(); ++k) {
      CHECK(std::isfinite(whole[k]));
      CHECK(whole[k] != 0);
      CHECK(std::abs(parts[k] - 100 - whole[k]) < 1e-10);
    }
  });
}

TEST_CASE("STE laws: multiply is the derivative, re-derived, times g") {
  for (const SteEntry& entry : stes()) {
    const std::string name = entry.name;
    CAPTURE(name);
    REQUIRE(kDerivatives.contains(name));
    const Derivative& derivative = kDerivatives.at(name);
    const auto ste = read_spec<ActivationSpec>(pair_with(name)).make_ste();
    const std::vector<ActivationRange> ranges = {
        {0, 0.5F}, {0, 1}, {0, 3}, {-1, 1}, {.low = 0.25F, .high = 2, .slope = 0.5F}};
    for (const ActivationRange& range : ranges) {
      CAPTURE(range.low);
      CAPTURE(range.high);
      const Values x = rising_inputs(range.high, 4);
      Values g(x.size());
      for (std::size_t i = 0; i < g.size(); ++i) g[i] = 1 - 0.01F * static_cast<float>(i);
      const Values before = g;
      ste->multiply(x, range, g);
      double largest = 0;
      for (std::size_t i = 0; i < g.size(); ++i) {
        const double factor = derivative.at(x[i], range.low, range.high) * static_cast<double>(range.slope);
        const float expected = before[i] * static_cast<float>(factor);
        const float error = std::abs(g[i] - expected) / std::max(std::abs(before[i]), 1e-6F);
        largest = std::max(largest, static_cast<double>(error));
        if (!std::isfinite(g[i])) largest = 1e30;
      }
      CHECK(largest <= derivative.error);
    }
  }
}

TEST_CASE("STE laws: in parts the same bits") {
  for (const SteEntry& entry : stes()) {
    const std::string name = entry.name;
    CAPTURE(name);
    const auto ste = read_spec<ActivationSpec>(pair_with(name)).make_ste();
    const ActivationRange range{.low = 0.25F, .high = 2, .slope = 0.5F};
    const Values x = rising_inputs(range.high, 4);
    Values whole(x.size(), 0.7F);
    Values parts = whole;
    ste->multiply(x, range, whole);
    for (std::size_t start = 0, size = 1; start < x.size(); start += size, size = size % 70 + 1) {
      const std::size_t count = std::min(size, x.size() - start);
      ste->multiply(std::span(x).subspan(start, count), range, std::span(parts).subspan(start, count));
    }
    CHECK(parts == whole);
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
    CHECK(quantizer.refuses("identity").empty());
  }
  for (const SteEntry& ste : stes()) CHECK_FALSE(pair_with(ste.name).empty());
}

}  // namespace qtrain::quant
