#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "kernels/samples.hpp"

namespace qtrain::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// One kernel as a function of x1 and x2 into y.
struct Case {
  const char* name;
  void (*call)(const Kernels&, const float* x1, const float* x2, float* y, std::size_t size);
};

const std::vector<Case> kCases{
    {"add", [](const Kernels& k, const float* x1, const float* x2, float* y,
               std::size_t size) { k.add(x1, x2, y, size); }},
    {"relu", [](const Kernels& k, const float* x1, const float*, float* y,
                std::size_t size) { k.relu(x1, y, size); }},
    {"exp_minus", [](const Kernels& k, const float* x1, const float*, float* y,
                     std::size_t size) { k.exp_minus(x1, y, size); }},
    {"sign", [](const Kernels& k, const float* x1, const float*, float* y,
                std::size_t size) { k.sign(x1, y, size); }},
    {"ceil_codes 0.5", [](const Kernels& k, const float* x1, const float*, float* y,
                          std::size_t size) { k.ceil_codes(x1, 0.5f, 15.0f, y, size); }},
    {"ceil_codes 0.1946", [](const Kernels& k, const float* x1, const float*, float* y,
                             std::size_t size) { k.ceil_codes(x1, 0.1946f, 3.0f, y, size); }},
    {"ceil_codes 1e-38", [](const Kernels& k, const float* x1, const float*, float* y,
                            std::size_t size) { k.ceil_codes(x1, 1e-38f, 1e9f, y, size); }},
};

}  // namespace

TEST_CASE("elementwise kernels: every set gives the reference's bits") {
  for (const Case& kernel : kCases) {
    for (const std::size_t size : kSizes) {
      CAPTURE(kernel.name);
      CAPTURE(size);
      Guarded<float> x1(special_values(size, 1)), x2(special_values(size, 2)), expected(size);
      kernel.call(reference_kernels(), x1.data(), x2.data(), expected.data(), size);
      for (const Kernels* set : available()) {
        Guarded<float> y(size), in_place = x1;
        kernel.call(*set, x1.data(), x2.data(), y.data(), size);
        kernel.call(*set, in_place.data(), x2.data(), in_place.data(), size);
        CHECK((y.intact() && same_bits(y.values(), expected.values())));
        CHECK((in_place.intact() && same_bits(in_place.values(), expected.values())));
      }
    }
  }
}

TEST_CASE("bytes: every integer of a byte there and back, any size, in every set") {
  for (const Kernels* set : available()) {
    for (const std::size_t size : kSizes) {
      CAPTURE(set->isa);
      CAPTURE(size);
      for (const int lowest : {0, -128}) {
        std::vector<float> codes(size);
        for (std::size_t i = 0; i < size; ++i)
          codes[i] = static_cast<float>(lowest + static_cast<int>(i * 7 % 256));
        std::vector<unsigned char> bytes(size + 1, 99);
        set->to_bytes(codes.data(), bytes.data(), size);
        CHECK(bytes.back() == 99);
        Guarded<float> back(size);
        (lowest == 0 ? set->from_unsigned_bytes : set->from_signed_bytes)(bytes.data(), back.data(), size);
        CHECK((back.intact() && back.values() == codes));
      }
    }
  }
}

TEST_CASE("from_shorts: every integer of 16 bits, any size, in every set") {
  for (const Kernels* set : available()) {
    CAPTURE(set->isa);
    std::vector<short> shorts(65536);
    for (int i = 0; i < 65536; ++i) shorts[static_cast<std::size_t>(i)] = static_cast<short>(i - 32768);
    Guarded<float> all(shorts.size());
    set->from_shorts(shorts.data(), all.data(), shorts.size());
    CHECK((all.intact() && std::ranges::equal(all.values(), shorts)));
    for (const std::size_t size : kSizes) {
      Guarded<float> some(size);
      set->from_shorts(shorts.data(), some.data(), size);
      CHECK((some.intact() && std::ranges::equal(some.values(), std::span(shorts).first(size))));
    }
  }
}

TEST_CASE("window: every set gives the reference's bits, also with x as g") {
  for (const float high : {1.0f, kInfinity}) {
    for (const std::size_t size : kSizes) {
      Guarded<float> x(special_values(size, 1)), expected(special_values(size, 2)), expected_own = x;
      reference_kernels().window(x.data(), 0.0f, high, expected.data(), size);
      reference_kernels().window(expected_own.data(), 0.0f, high, expected_own.data(), size);
      for (const Kernels* set : available()) {
        CAPTURE(set->isa);
        CAPTURE(size);
        Guarded<float> g(special_values(size, 2)), own = x;
        set->window(x.data(), 0.0f, high, g.data(), size);
        set->window(own.data(), 0.0f, high, own.data(), size);
        CHECK((g.intact() && same_bits(g.values(), expected.values())));
        CHECK((own.intact() && same_bits(own.values(), expected_own.values())));
      }
    }
  }
}

TEST_CASE("elementwise kernels: the equations at their corners") {
  const std::vector<float> x{kNan,   kInfinity, -kInfinity, 0.0f,  -0.0f, -1e-40f,
                             1e-40f, -0.25f,    0.5f,       0.75f, 9.0f};
  const std::vector<float> one(x.size(), 1.0f);
  for (const Kernels* set : available()) {
    CAPTURE(set->isa);
    std::vector<float> y(x.size());
    set->relu(x.data(), y.data(), x.size());
    CHECK(same_bits(y, {kNan, kInfinity, 0, 0, -0.0f, 0, 1e-40f, 0, 0.5f, 0.75f, 9}));
    set->sign(x.data(), y.data(), x.size());
    CHECK(same_bits(y, {1, 1, -1, 1, 1, -1, 1, -1, 1, 1, 1}));
    set->ceil_codes(x.data(), 0.5f, 15.0f, y.data(), x.size());
    CHECK(same_bits(y, {0, 15, 0, 0, 0, 0, 1, 0, 1, 2, 15}));
    set->ceil_codes(x.data(), 1e6f, 15.0f, y.data(), x.size());  // 1e-40 / 1e6 is 0 in float
    CHECK(same_bits(y, {0, 15, 0, 0, 0, 0, 1, 0, 1, 1, 1}));
    std::vector<float> g = one;
    set->window(x.data(), 0.0f, 0.5f, g.data(), x.size());
    CHECK(same_bits(g, {0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0}));
    g = one;
    set->window(x.data(), -0.25f, kInfinity, g.data(), x.size());
    CHECK(same_bits(g, {0, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1}));
    set->add(x.data(), one.data(), y.data(), x.size());
    CHECK(same_bits(y, {kNan, kInfinity, -kInfinity, 1, 1, 1, 1, 0.75f, 1.5f, 1.75f, 10}));
  }
}

TEST_CASE("ceil_codes: k * step is code k for every step, and just above it k + 1") {
  RandomStream random(4, Purpose::test);
  std::vector<float> steps{0.1946f, 0.6511f, 1.2221f, 1.06667042f};
  while (steps.size() < 2000) steps.push_back(random.uniform(0.001f, 5.0f));
  std::size_t quotient_misses = 0;
  for (const float step : steps) {
    std::vector<float> ties(256), above(256), codes(256), expected(256);
    for (std::size_t k = 0; k < 256; ++k) {
      expected[k] = static_cast<float>(k);
      ties[k] = expected[k] * step;
      above[k] = std::nextafter(ties[k], kInfinity);
      if (std::ceil(ties[k] / step) != expected[k]) ++quotient_misses;
    }
    for (const Kernels* set : available()) {
      set->ceil_codes(ties.data(), step, 1000.0f, codes.data(), codes.size());
      REQUIRE(codes == expected);
      set->ceil_codes(above.data(), step, 1000.0f, codes.data(), codes.size());
      for (std::size_t k = 0; k < 256; ++k) REQUIRE(codes[k] == expected[k] + 1.0f);
    }
  }
  CHECK(quotient_misses > 0);  // else the correction has no purpose
}

TEST_CASE("ceil_codes: the exact quotient rounded up, away from ties") {
  const std::vector<float> x = plain_values(100'000, 8);
  std::vector<float> codes(x.size());
  reference_kernels().ceil_codes(x.data(), 0.1946f, 15.0f, codes.data(), x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double quotient = static_cast<double>(x[i]) / static_cast<double>(0.1946f);
    if (std::abs(quotient - std::round(quotient)) < 1e-5) continue;
    REQUIRE(codes[i] == std::min(std::max(std::ceil(quotient), 0.0), 15.0));
  }
}

TEST_CASE("all_finite finds one bad value anywhere") {
  for (const Kernels* set : available()) {
    for (const std::size_t size : kSizes) {
      CAPTURE(set->isa);
      CAPTURE(size);
      std::vector<float> x(size, std::numeric_limits<float>::max());
      CHECK(set->all_finite(x.data(), size));
      for (std::size_t i = 0; i<size; i += size> 600 ? 97 : 1) {
        for (const float bad : {kNan, kInfinity, -kInfinity}) {
          x[i] = bad;
          REQUIRE(!set->all_finite(x.data(), size));
        }
        x[i] = -1e-40f;
      }
      CHECK(set->all_finite(x.data(), size));
    }
  }
}

}  // namespace qtrain::kernels
