#include "kernels/bit_convolution.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "base/error.hpp"
#include "kernels/bit_samples.hpp"

namespace qtrain::kernels {
namespace {

/// "" if the codes by random thresholds, with and without an added tensor, are those of `expected`.
std::string code_fault(const BitCase& c, const BitConvolution& convolution, const unsigned char* planes,
                       const std::vector<float>& expected) {
  RandomStream random(21, Purpose::test);
  const std::size_t outputs = c.geometry.outputs, padded = (outputs + 15) / 16 * 16;
  std::vector<std::int16_t> thresholds(2 * padded);
  for (std::int16_t& t : thresholds) {
    t = static_cast<std::int16_t>(expected[random.below(static_cast<std::uint32_t>(expected.size()))]);
    const std::uint32_t extreme = random.below(16);
    if (extreme < 2) t = std::numeric_limits<std::int16_t>::min();
    if (extreme == 2) t = std::numeric_limits<std::int16_t>::min() + 1;
    if (extreme == 3) t = std::numeric_limits<std::int16_t>::max();
  }
  std::vector<std::uint16_t> flipped(2 * padded / 16);
  for (std::uint16_t& bits : flipped) bits = static_cast<std::uint16_t>(random.bits());
  const BitThresholds all{thresholds.data(), flipped.data(), padded, 0xFF, 3};
  const std::size_t size = expected.size() / c.images;
  std::vector<unsigned char> added(size);
  for (unsigned char& code : added) code = static_cast<unsigned char>(random.below(2));
  for (const bool adds : {false, true}) {
    GuardedBytes codes(size);
    convolution.run(all, planes, adds ? added.data() : nullptr, codes.data());
    if (!codes.intact()) return "writes beyond its codes";
    const std::vector<unsigned char> got = codes.values();
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t at = (adds && added[i] != 0 ? padded : 0) + i % outputs;
      const bool high =
          (expected[i] >= static_cast<float>(thresholds[at])) != ((flipped[at / 16] >> at % 16 & 1) != 0);
      if (got[i] != (high ? all.high : all.low)) return "gives other codes";
    }
  }
  return "";
}

/// "" if the set gives exactly `expected` and writes nowhere else, else what is wrong.
std::string fault(const BitCase& c, const Kernels& set, const std::vector<int>& weights,
                  const std::vector<unsigned char>& bytes, const std::vector<float>& expected) {
  BitConvolution convolution(c.geometry, c.weights, c.activations, set);
  convolution.pack_weights(floats_of(weights));
  GuardedBytes planes(c.images * convolution.image_bytes());
  convolution.pack(bytes.data() + 1, c.images, planes.data());
  if (!planes.intact()) return "packs beyond its planes";
  Guarded<float> dst(expected.size());
  convolution.run(after_one(planes.values()).data() + 1, c.images, dst.data());
  if (!dst.intact()) return "writes beyond dst";
  if (dst.values() != expected) return "differs";
  if (!convolution.fits_shorts()) return "";
  Guarded<short> shorts(expected.size());
  convolution.run(planes.data(), c.images, shorts.data());
  if (!shorts.intact()) return "writes beyond 16-bit dst";
  if (!std::ranges::equal(shorts.values(), expected)) return "differs in 16 bits";
  return convolution.gives_codes() ? code_fault(c, convolution, planes.data(), expected) : "";
}

/// The same of every set, and, where there are such, by tables.
std::string fault(BitCase c, const std::vector<int>& weights, const std::vector<int>& activations,
                  const std::vector<float>& expected) {
  const std::vector<unsigned char> bytes = after_one(bytes_of(activations));
  for (const Kernels* set : available())
    for (const bool no_zeros : {false, true}) {
      if (no_zeros && c.kind != WeightKind::odd) continue;
      c.weights.no_zeros = no_zeros;
      const std::string found = fault(c, *set, weights, bytes, expected);
      if (!found.empty()) return fmt::format("{}{} {}", set->isa, no_zeros ? ", no zeros" : "", found);
    }
  return "";
}

std::string fault(const BitCase& c, std::uint32_t stream) {
  RandomStream random(20, Purpose::test, stream);
  const std::vector<int> weights = random_weights(c, random), activations = random_activations(c, random);
  return fault(c, weights, activations, plain_convolution(c, weights, activations));
}

/// Rows and images one by one.
void check_pieces(const BitCase& c) {
  RandomStream random(22, Purpose::test);
  const std::vector<int> weights = random_weights(c, random), activations = random_activations(c, random);
  const std::vector<float> expected = plain_convolution(c, weights, activations);
  for (const Kernels* set : available()) {
    CAPTURE(set->isa);
    BitConvolution convolution(c.geometry, c.weights, c.activations, *set);
    convolution.pack_weights(floats_of(weights));
    std::vector<unsigned char> planes(c.images * convolution.image_bytes());
    convolution.pack(floats_of(activations).data(), c.images, planes.data());
    const std::size_t rows = c.geometry.out_height(), image = expected.size() / c.images, row = image / rows;
    std::vector<float> dst(expected.size(), 0.5F);
    convolution.run(planes.data(), c.images, 1, rows - 1, dst.data() + row);
    for (std::size_t i = 0; i < dst.size(); ++i) {
      const std::size_t y = i % image / row;
      REQUIRE(dst[i] == (y == 0 || y == rows - 1 ? 0.5F : expected[i]));
    }
    for (std::size_t n = 0; n < c.images; ++n) {
      const unsigned char* own = planes.data() + n * convolution.image_bytes();
      convolution.run(own, 1, 0, 1, dst.data() + n * image);
      convolution.run(own, 1, rows - 1, rows, dst.data() + n * image + (rows - 1) * row);
    }
    CHECK(dst == expected);
  }
}

constexpr BitWeights kNoZeros{.planes = 1, .no_zeros = true};
constexpr BitActivations kSign{.planes = 1, .lowest = -1, .step = 2};
constexpr BitActivations kTernary{.planes = 2, .lowest = -1};

}  // namespace

TEST_CASE("bit convolution: all pairs of bits, digits +-1 and ternary") {
  std::vector<std::pair<int, int>> pairs{{8, 1}, {1, 8}, {8, 8}};
  for (int w = 1; w <= 4; ++w)
    for (int a = 1; a <= 4; ++a) pairs.emplace_back(w, a);
  for (const auto& [w, a] : pairs)
    for (const WeightKind kind : {WeightKind::odd, WeightKind::any})
      for (const std::size_t channels : {16U, 20U}) {
        CAPTURE(w);
        CAPTURE(a);
        const std::size_t kernel = w * a < 64 ? 3 : 1;  // K within 258 for 8 x 8
        CHECK(fault({{5, 6, channels, 19, kernel, 1, 1}, {w}, {a}, kind}, 1) == "");
      }
}

TEST_CASE("bit convolution: channels around each word and group") {
  for (const std::size_t channels : {1U,  2U,  3U,  8U,  15U, 16U,  17U,  31U,  32U,  33U, 47U,
                                     48U, 49U, 63U, 64U, 65U, 100U, 127U, 128U, 129U, 256U})
    for (const std::size_t kernel : {1U, 3U})
      for (const BitActivations& activations : {BitActivations{}, kSign, kTernary}) {
        CAPTURE(channels);
        CAPTURE(kernel);
        CHECK(fault({{4, 5, channels, 17, kernel, 1, kernel / 2}, {1}, activations, WeightKind::odd}, 2) ==
              "");
        CHECK(fault({{4, 5, channels, 17, kernel, 1, kernel / 2}, {2}, activations, WeightKind::any}, 3) ==
              "");
      }
}

TEST_CASE("bit convolution: kernels, strides and paddings, where the padding is 0 and no code") {
  for (const std::size_t kernel : {1U, 2U, 3U, 5U, 7U})
    for (const std::size_t stride : {1U, 2U, 3U})
      for (const std::size_t padding : {0U, 1U, 2U, 3U})
        for (const std::size_t end_padding : {0U, 1U})
          for (const std::size_t channels : {5U, 32U})
            for (const BitActivations& activations : {kSign, BitActivations{2}}) {
              CAPTURE(kernel);
              CAPTURE(stride);
              CAPTURE(padding);
              CHECK(fault({{7, 9, channels, 5, kernel, stride, padding, end_padding},
                           {1},
                           activations,
                           WeightKind::odd,
                           2},
                          4) == "");
            }
}

TEST_CASE("bit convolution: widths around each tile, outputs around each block") {
  for (std::size_t width = 1; width <= 35; ++width)
    for (const std::size_t channels : {16U, 32U}) {
      CAPTURE(width);
      CHECK(fault({{2, width, channels, 16, 3, 1, 1}, {1}, {2}, WeightKind::odd, 3}, 5) == "");
      CHECK(fault({{3, width, channels, 9, 3, 2, 1}, {1}, kSign, WeightKind::any}, 6) == "");
    }
  for (const std::size_t outputs : {1U, 2U, 15U, 16U, 17U, 31U, 32U, 33U, 63U, 64U, 65U, 100U}) {
    CAPTURE(outputs);
    CHECK(fault({{3, 7, 16, outputs, 3, 1, 1}, {1}, {1}, WeightKind::odd}, 7) == "");
    CHECK(fault({{3, 7, 32, outputs, 3, 1, 1}, {2}, kSign, WeightKind::any}, 8) == "");
    CHECK(fault({{3, 7, 32, outputs, 3, 1, 1}, {1}, {4}, WeightKind::odd}, 8) == "");
  }
}

TEST_CASE("bit convolution: a matrix product is a 1x1 convolution of a row of pixels") {
  for (const std::size_t rows : {1U, 2U, 8U, 13U})
    for (const std::size_t channels : {10U, 64U, 300U}) {
      CAPTURE(rows);
      CHECK(fault({{1, rows, channels, 10}, {2}, {2}, WeightKind::odd}, 9) == "");
    }
}

TEST_CASE("bit convolution: random geometries") {
  RandomStream random(21, Purpose::test);
  for (std::uint32_t round = 0; round < 400; ++round) {
    BitCase c;
    c.geometry = {1 + random.below(10), 1 + random.below(20), 1 + random.below(70), 1 + random.below(40),
                  1 + random.below(5),  1 + random.below(3),  random.below(4),      random.below(2)};
    c.weights.planes = 1 + static_cast<int>(random.below(3));
    c.activations.planes = 1 + static_cast<int>(random.below(4));
    c.activations.step = 1 + static_cast<int>(random.below(2));
    c.activations.lowest = -static_cast<int>(random.below(4));
    c.kind = random.below(2) == 0 ? WeightKind::odd : WeightKind::any;
    c.images = 1 + random.below(3);
    if (!BitConvolution::refusal(c.geometry, c.weights, c.activations).empty()) continue;
    CAPTURE(round);
    REQUIRE(fault(c, round) == "");
  }
}

TEST_CASE("bit convolution: sums at the limits of bytes, of 16-bit lanes and of float") {
  struct Extreme {
    ConvolutionGeometry geometry;
    int weight_planes, planes;
    std::size_t lane_bytes;
  };
  // 2^15 - 1 = 32,767 is the largest sum of a 16-bit lane: 3 * 10,922 = 32,766 of 1 x 2 bits fit, 3 * 10,923
  // do not; so do 15 * 15 * 144 = 32,400 of 4 x 4 bits. Counts of the bytes of 31 words fit a byte,
  // 31 * 8 = 248, those of 32 do not: windows of 31, 32, 33 and 576 words.
  for (const auto& [geometry, w, a, lane_bytes] :
       {Extreme{{3, 4, 16, 16, 3}, 4, 4, 2}, Extreme{{1, 2, 10922, 3}, 1, 2, 2},
        Extreme{{1, 2, 10923, 3}, 1, 2, 4}, Extreme{{1, 2, 2184, 3}, 1, 4, 2},
        Extreme{{1, 2, 32752, 3}, 1, 1, 2}, Extreme{{1, 2, 32784, 3}, 1, 1, 4},
        Extreme{{4, 5, 16, 16, 4}, 8, 8, 4}, Extreme{{1, 3, 258, 17}, 8, 8, 4},
        Extreme{{4, 4, 4112, 3, 4}, 8, 1, 4}, Extreme{{4, 4, 4112, 3, 4}, 1, 8, 4},
        Extreme{{1, 2, 65535, 2}, 1, 1, 4}, Extreme{{1, 2, 496, 3}, 1, 1, 2},
        Extreme{{1, 2, 528, 3}, 1, 1, 2}, Extreme{{1, 2, 992, 17}, 1, 1, 4},
        Extreme{{1, 2, 1024, 17}, 1, 1, 4}, Extreme{{1, 2, 1056, 17}, 1, 4, 4},
        Extreme{{3, 4, 2048, 16, 3}, 1, 1, 4}, Extreme{{3, 4, 2048, 16, 3}, 1, 4, 4}})
    for (const int sign : {-1, 1}) {
      const BitCase c{geometry, {w}, {a}};
      CAPTURE(geometry.channels);
      const int weight = sign * ((1 << w) - 1), activation = (1 << a) - 1;
      const std::vector<int> weights(weight_count(geometry), weight);
      const std::vector<int> activations(input_count(c), activation);
      const auto terms = static_cast<int>(geometry.channels * geometry.kernel * geometry.kernel);
      const std::vector<float> expected(output_count(c), static_cast<float>(weight * activation * terms));
      CHECK(BitConvolution(geometry, c.weights, c.activations).layout().lane_bytes == lane_bytes);
      CHECK(fault(c, weights, activations, expected) == "");
      std::vector<int> with_zero = weights;  // ternary digits
      with_zero.back() = 0;
      const BitCase any{geometry, {w}, {a}, WeightKind::any};
      CHECK(fault(any, with_zero, activations, plain_convolution(any, with_zero, activations)) == "");
    }
  // 3 * 10,922 = 32,766 bounds the results of signs: 16 bits hold them, in lanes of 32 bits and of 16.
  for (const std::size_t channels : {10912U, 10922U}) {
    CAPTURE(channels);
    CHECK(fault({{1, 3, channels, 17}, {1}, kSign, WeightKind::odd}, 10) == "");
  }
}

TEST_CASE("bit convolution: rows and images one by one are the whole, and leave the others") {
  for (const BitCase& c : {BitCase{{9, 11, 24, 20, 3, 2, 1}, {2}, {2}, WeightKind::any, 3},
                           BitCase{{9, 11, 24, 20, 3, 2, 1}, kNoZeros, {3}, WeightKind::odd, 3}})
    check_pieces(c);
}

TEST_CASE("bit convolution: by tables where one plane without zeros meets a few, and 16 bits hold all") {
  const auto is_by_tables = [](const ConvolutionGeometry& at, const BitActivations& activations) {
    return BitConvolution(at, kNoZeros, activations, reference_kernels()).tables() != nullptr;
  };
  const ConvolutionGeometry g{4, 4, 32, 8, 3, 1, 1};
  const auto by_tables = [&](const BitWeights& weights, const BitActivations& activations) {
    return BitConvolution(g, weights, activations).tables() != nullptr;
  };
  for (const Kernels* set : available())
    for (const int planes : {1, 2, 3, 4})
      CHECK((BitConvolution(g, kNoZeros, {planes}, *set).tables() != nullptr) ==
            (planes >= set->table_planes));
  CHECK_FALSE(by_tables(kNoZeros, {5}));
  CHECK_FALSE(by_tables({1}, {4}));
  CHECK_FALSE(by_tables({.planes = 2, .no_zeros = true}, {3}));
  CHECK_FALSE(by_tables({1, true, true}, {3}));
  CHECK_FALSE(by_tables(kNoZeros, {3, 0, 1, true}));
  CHECK(is_by_tables({1, 1, 2184, 1}, {4}));
  CHECK_FALSE(is_by_tables({1, 1, 2185, 1}, {4}));
}

TEST_CASE("bit convolution: weights packed anew replace all of the old") {
  const BitCase odd{{4, 5, 20, 18, 3, 1, 1}, {2}, {2}, WeightKind::odd};
  RandomStream random(23, Purpose::test);
  const std::vector<int> first = random_weights(odd, random), activations = random_activations(odd, random);
  BitCase any = odd;
  any.kind = WeightKind::any;
  const std::vector<int> second = random_weights(any, random);
  const BitCase binary{odd.geometry, kNoZeros, odd.activations};
  const std::vector<int> one = random_weights(binary, random), other = random_weights(binary, random);
  for (const Kernels* set : available()) {
    BitConvolution by_tables(odd.geometry, kNoZeros, odd.activations, *set);
    std::vector<unsigned char> tables(by_tables.image_bytes());
    by_tables.pack(bytes_of(activations).data(), 1, tables.data());
    std::vector<float> sums(output_count(odd));
    for (const std::vector<int>& weights : {one, other}) {
      by_tables.pack_weights(floats_of(weights));
      by_tables.run(tables.data(), 1, sums.data());
      CHECK(sums == plain_convolution(odd, weights, activations));
    }
    BitConvolution convolution(odd.geometry, odd.weights, odd.activations, *set);
    std::vector<unsigned char> planes(convolution.image_bytes());
    convolution.pack(bytes_of(activations).data(), 1, planes.data());
    std::vector<float> dst(output_count(odd));
    for (const std::vector<int>& weights : {first, second, first}) {
      convolution.pack_weights(floats_of(weights));
      convolution.run(planes.data(), 1, dst.data());
      CHECK(dst == plain_convolution(odd, weights, activations));
    }
  }
}

TEST_CASE("bit convolution: weighted planes are added in the stated order") {
  const ConvolutionGeometry geometry{5, 6, 18, 19, 3, 1, 1};
  for (const bool weighted_weights : {false, true})
    for (const bool weighted_activations : {false, true})
      for (const WeightKind kind : {WeightKind::odd, WeightKind::any}) {
        if (!weighted_weights && !weighted_activations) continue;
        BitCase c{geometry, {3, weighted_weights}, {2, 0, 1, weighted_activations}, kind, 2};
        RandomStream random(24, Purpose::test);
        const std::vector<int> weights = random_weights(c, random);
        const std::vector<int> activations = random_activations(c, random);
        std::vector<float> alphas, betas, expected(output_count(c));
        for (std::size_t i = 0; weighted_weights && i < 3 * geometry.outputs; ++i)
          alphas.push_back(random.uniform(-1, 1));
        for (int p = 0; weighted_activations && p < 2; ++p) betas.push_back(random.uniform(-1, 1));
        // Digit i of a weight, or the weight; bit p of a code as +-1, or the code.
        const auto part_of_weight = [&](int w, int i) {
          if (!weighted_weights) return w;
          if (kind == WeightKind::odd) return ((w + 7) / 2 >> i & 1) != 0 ? 1 : -1;
          return (std::abs(w) >> i & 1) * (w < 0 ? -1 : 1);
        };
        const auto part_of_activation = [&](int x, int p) {
          return !weighted_activations ? x : (x >> p & 1) != 0 ? 1 : -1;
        };
        for (int i = 0; i < (weighted_weights ? 3 : 1); ++i)
          for (int p = 0; p < (weighted_activations ? 2 : 1); ++p) {
            std::vector<int> w = weights, x = activations;
            for (int& v : w) v = part_of_weight(v, i);
            for (int& v : x) v = part_of_activation(v, p);
            const std::vector<float> sums = plain_convolution(c, w, x);
            for (std::size_t k = 0; k < sums.size(); ++k) {
              const auto plane = static_cast<std::size_t>(i);
              const float alpha =
                  weighted_weights ? alphas[plane * geometry.outputs + k % geometry.outputs] : 1.0F;
              const float beta = weighted_activations ? betas[static_cast<std::size_t>(p)] : 1.0F;
              const float scaled = alpha * beta * sums[k];
              expected[k] = i == 0 && p == 0 ? scaled : expected[k] + scaled;
            }
          }
        for (const Kernels* set : available()) {
          CAPTURE(set->isa);
          BitConvolution convolution(c.geometry, c.weights, c.activations, *set);
          convolution.pack_weights(floats_of(weights));
          convolution.set_scales(alphas, betas);
          std::vector<unsigned char> planes(c.images * convolution.image_bytes());
          convolution.pack(bytes_of(activations).data(), c.images, planes.data());
          std::vector<float> dst(expected.size());
          convolution.run(planes.data(), c.images, dst.data());
          CHECK(same_bits(dst, expected));
        }
      }
}

TEST_CASE("bit convolution: what it cannot do exactly is refused") {
  const auto refusal = [](const ConvolutionGeometry& g, int weight_planes,
                          const BitActivations& activations) {
    return BitConvolution::refusal(g, {weight_planes}, activations);
  };
  CHECK(refusal({1, 1, 258, 1}, 8, {8}) == "");
  CHECK(refusal({1, 1, 259, 1}, 8, {8}).find("2^24") != std::string::npos);
  CHECK(refusal({3, 3, 8, 1, 5}, 1, {1}).find("larger than the padded image") != std::string::npos);
  CHECK(refusal({3, 3, 8, 1, 5, 1, 1}, 1, {1}) == "");
  CHECK(refusal({3, 3, 8, 1}, 9, {1}) != "");
  CHECK(refusal({3, 3, 8, 1}, 1, {0}) != "");
  CHECK(refusal({3, 3, 0, 1}, 1, {1}) != "");
  CHECK(refusal({3, 3, 8, 1}, 1, {1, 0, 3}) != "");
  CHECK_THROWS_AS(BitConvolution({3, 3, 8, 1}, {9}, {1}), Error);
  BitConvolution convolution({3, 3, 2, 1}, {2}, {1});
  CHECK_THROWS_AS(convolution.pack_weights(std::vector<float>{1, 4}), Error);
  CHECK_THROWS_AS(convolution.pack_weights(std::vector<float>{1, 0.5F}), Error);
  CHECK_THROWS_AS(convolution.pack_weights(std::vector<float>{1}), Error);
  CHECK_THROWS_AS(convolution.set_scales(std::vector<float>{1}, {}), Error);
  BitConvolution signs({1, 1, 2, 1}, kNoZeros, {2});
  CHECK_THROWS_AS(signs.pack_weights(std::vector<float>{1, 0}), Error);
}

}  // namespace qtrain::kernels
