#include "kernels/winograd_pairs.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "base/aligned.hpp"
#include "kernels/samples.hpp"
#include "kernels/winograd_gradient.hpp"
#include "kernels/winograd_samples.hpp"

namespace qtrain::kernels {
namespace {

/// Widths whose rows have pairs of tiles.
std::vector<Geometry> geometries() { return winograd_geometries({3, 4, 7, 8}); }

std::vector<float> floats_of(const Halves& halves) {
  std::vector<float> values(halves.size());
  reference_kernels().from_bfloat16(halves.data(), values.data(), values.size());
  return values;
}

/// Values that bfloat16 has, and the operands of both gradients; weights [output][3][3][channel].
struct Operands {
  static constexpr std::size_t kImages = 2;
  Geometry g;
  std::vector<float> src, weights, diff_dst;
  Operands(const Geometry& own, std::vector<float> (*values)(std::size_t, std::uint32_t))
      : g(own),
        src(halved(values(kImages * own.height * own.width * own.channels, 1))),
        weights(values(9 * own.channels * own.outputs, 2)),
        diff_dst(halved(values(kImages * own.height * own.width * own.outputs, 3))) {}

 private:
  static std::vector<float> halved(const std::vector<float>& values) {
    return floats_of(to_bfloat16(reference_kernels(), values));
  }
};

struct Gradients {
  std::vector<double> data, weights;
};

/// The sums themselves.
Gradients direct(const Operands& x) {
  const Geometry& g = x.g;
  Gradients sums{std::vector<double>(x.src.size()), std::vector<double>(x.weights.size())};
  for (std::size_t n = 0; n < Operands::kImages; ++n)
    for (std::size_t y = 0; y < g.height; ++y)
      for (std::size_t column = 0; column < g.width; ++column)
        for (std::size_t tap = 0; tap < 9; ++tap) {
          const std::size_t below = y + tap / 3, right = column + tap % 3;
          if (below < 1 || below > g.height || right < 1 || right > g.width) continue;
          const std::size_t src = ((n * g.height + below - 1) * g.width + right - 1) * g.channels;
          const std::size_t dst = ((n * g.height + y) * g.width + column) * g.outputs;
          for (std::size_t o = 0; o < g.outputs; ++o)
            for (std::size_t c = 0; c < g.channels; ++c) {
              const std::size_t w = (o * 9 + tap) * g.channels + c;
              const auto diff = static_cast<double>(x.diff_dst[dst + o]);
              sums.data[src + c] += diff * static_cast<double>(x.weights[w]);
              sums.weights[w] += diff * static_cast<double>(x.src[src + c]);
            }
        }
  return sums;
}

std::vector<float> data_gradient(const Operands& x, const Kernels& set) {
  const WinogradPairData subject(x.g, set);
  AlignedBuffer<unsigned> scratch(subject.scratch_bytes() / sizeof(unsigned) + 1);
  const Halves diff_dst = after_one(to_bfloat16(set, x.diff_dst));
  const std::vector<float> weights = after_one(x.weights);
  Guarded<float> diff_src(x.src.size());
  subject.run(diff_dst.data() + 1, Operands::kImages, weights.data() + 1, scratch.data(), diff_src.data());
  CHECK(diff_src.intact());
  Guarded<unsigned short> halves(x.src.size());
  subject.run(diff_dst.data() + 1, Operands::kImages, weights.data() + 1, scratch.data(), halves.data());
  CHECK(halves.intact());
  CHECK(
      same_bits(floats_of(halves.values()), floats_of(to_bfloat16(reference_kernels(), diff_src.values()))));
  return diff_src.values();
}

template <class Code>
std::vector<float> weight_gradient(const Operands& x, const Kernels& set, SrcValues values,
                                   const std::vector<Code>& src) {
  const WinogradPairWeightGradient subject(x.g, values, set);
  AlignedBuffer<float> scratch(subject.scratch_bytes() / sizeof(float));
  const Halves diff_dst = after_one(to_bfloat16(set, x.diff_dst));
  Guarded<float> diff_weights(x.weights.size());
  subject.run(after_one(src).data() + 1, diff_dst.data() + 1, Operands::kImages, scratch.data(),
              diff_weights.data());
  CHECK(diff_weights.intact());
  return diff_weights.values();
}

std::vector<float> weight_gradient(const Operands& x, const Kernels& set) {
  return weight_gradient(x, set, SrcValues::as_diff_dst, to_bfloat16(set, x.src));
}

/// Root mean square of the differences from `exact`, as a part of exact's own.
double error(const std::vector<float>& got, const std::vector<double>& exact) {
  double differences = 0, squares = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    differences += std::pow(static_cast<double>(got[i]) - exact[i], 2);
    squares += exact[i] * exact[i];
  }
  return std::sqrt(differences / squares);
}

bool equal(const std::vector<float>& got, const std::vector<double>& exact) {
  return std::ranges::equal(got, exact, [](float a, double b) { return static_cast<double>(a) == b; });
}

}  // namespace

TEST_CASE(
    "Winograd's tiles of bfloat16: gradients of small integers are exact, on every set, from bytes too") {
  for (const Geometry& g : geometries()) {
    REQUIRE(has_winograd_pairs(g));
    CAPTURE(g.width);
    CAPTURE(g.channels);
    const Operands x(g, integer_values);
    const Gradients exact = direct(x);
    std::vector<signed char> codes;
    std::vector<unsigned char> magnitudes;
    for (const float value : x.src) codes.push_back(static_cast<signed char>(value));
    Operands positive = x;
    for (float& value : positive.src) value = std::abs(value);
    for (const float value : positive.src) magnitudes.push_back(static_cast<unsigned char>(value));
    const Gradients of_positive = direct(positive);
    for (const Kernels* set : available()) {
      CAPTURE(std::string(set->isa));
      CHECK(equal(data_gradient(x, *set), exact.data));
      CHECK(equal(weight_gradient(x, *set), exact.weights));
      CHECK(equal(weight_gradient(x, *set, SrcValues::signed_bytes, codes), exact.weights));
      CHECK(
          equal(weight_gradient(positive, *set, SrcValues::unsigned_bytes, magnitudes), of_positive.weights));
    }
  }
}

TEST_CASE(
    "Winograd's tiles of bfloat16: every set gives the reference's bits; errors are of bfloat16's size") {
  for (const Geometry& g : geometries()) {
    CAPTURE(g.width);
    const Operands x(g, plain_values);
    const Gradients exact = direct(x);
    const std::vector<float> data = data_gradient(x, reference_kernels()),
                             weights = weight_gradient(x, reference_kernels());
    for (const Kernels* set : available()) {
      CAPTURE(std::string(set->isa));
      CHECK(same_bits(data_gradient(x, *set), data));
      CHECK(same_bits(weight_gradient(x, *set), weights));
    }
    constexpr double kUlp = 0x1p-8;  // of bfloat16, near 1
    CHECK(error(data, exact.data) < 1.2 * kUlp);
    CHECK(error(weights, exact.weights) < 1.2 * kUlp);
  }
}

TEST_CASE(
    "Winograd's tiles of bfloat16: denormals count as 0, infinities and NaN come through, on every set") {
  Operands x(geometry(4, 4, 16, 16), special_values);
  for (float& w : x.weights) w = std::isfinite(w) && std::abs(w) < 100 ? w : 1;
  const std::vector<float> data = data_gradient(x, reference_kernels()),
                           weights = weight_gradient(x, reference_kernels());
  for (const Kernels* set : available()) {
    CAPTURE(std::string(set->isa));
    CHECK(same_bits(data_gradient(x, *set), data));
    CHECK(same_bits(weight_gradient(x, *set), weights));
  }
}

TEST_CASE("Winograd's tiles of bfloat16: rows of an odd number of tiles have no pairs") {
  CHECK(has_winograd_pairs(geometry(5, 8, 16, 16)));
  CHECK_FALSE(has_winograd_pairs(geometry(8, 6, 16, 16)));
  CHECK_FALSE(has_winograd_pairs(geometry(8, 8, 8, 16)));
}

}  // namespace qtrain::kernels
