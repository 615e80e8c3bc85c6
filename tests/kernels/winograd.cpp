#include "kernels/winograd.hpp"

#include <doctest/doctest.h>

#include "base/aligned.hpp"
#include "kernels/samples.hpp"
#include "kernels/winograd_gradient.hpp"
#include "kernels/winograd_samples.hpp"

namespace qtrain::kernels {
namespace {

using Direction = WinogradConvolution::Direction;

/// Widths from one pixel on.
std::vector<Geometry> geometries() { return winograd_geometries({1, 2, 5, 6}); }

std::size_t src_size(const Geometry& g) { return g.height * g.width * g.channels; }
std::size_t dst_size(const Geometry& g) { return g.height * g.width * g.outputs; }
std::size_t weights_size(const Geometry& g) { return 9 * g.channels * g.outputs; }

/// What a convolution and its gradients have to sum, with weights [output][3][3][channel].
struct Operands {
  std::size_t images;
  std::vector<float> src, weights, diff_dst;
  Operands(const Geometry& g, std::size_t count, std::vector<float> (*values)(std::size_t, std::uint32_t))
      : images(count),
        src(values(count * src_size(g), 1)),
        weights(values(weights_size(g), 2)),
        diff_dst(values(count * dst_size(g), 3)) {}
};

/// Calls work(src index, weights index, dst index) for every product of the convolution.
template <class Work>
void for_each_product(const Geometry& g, std::size_t images, const Work& work) {
  for (std::size_t n = 0; n < images; ++n)
    for (std::size_t y = 0; y < g.height; ++y)
      for (std::size_t x = 0; x < g.width; ++x)
        for (std::size_t tap = 0; tap < 9; ++tap) {
          const std::size_t below = y + tap / 3, right = x + tap % 3;
          if (below < 1 || below > g.height || right < 1 || right > g.width) continue;
          const std::size_t src = ((n * g.height + below - 1) * g.width + right - 1) * g.channels;
          const std::size_t dst = ((n * g.height + y) * g.width + x) * g.outputs;
          for (std::size_t o = 0; o < g.outputs; ++o)
            for (std::size_t c = 0; c < g.channels; ++c)
              work(src + c, (o * 9 + tap) * g.channels + c, dst + o);
        }
}

/// Forward, data gradient, weight gradient.
template <class T>
struct Results {
  std::vector<T> dst, diff_src, diff_weights;
};

/// The sums themselves, in T.
template <class T>
Results<T> direct(const Geometry& g, const Operands& x) {
  Results<T> sums{std::vector<T>(x.diff_dst.size()), std::vector<T>(x.src.size()),
                  std::vector<T>(x.weights.size())};
  for_each_product(g, x.images, [&](std::size_t s, std::size_t w, std::size_t d) {
    const auto src = static_cast<T>(x.src[s]), weight = static_cast<T>(x.weights[w]),
               diff = static_cast<T>(x.diff_dst[d]);
    sums.dst[d] += src * weight;
    sums.diff_src[s] += diff * weight;
    sums.diff_weights[w] += src * diff;
  });
  return sums;
}

std::vector<float> outputs_last(const Geometry& g, const std::vector<float>& weights) {
  std::vector<float> turned(weights.size());
  for (std::size_t o = 0; o < g.outputs; ++o)
    for (std::size_t tap = 0; tap < 9; ++tap)
      for (std::size_t c = 0; c < g.channels; ++c)
        turned[(c * 9 + tap) * g.outputs + o] = weights[(o * 9 + tap) * g.channels + c];
  return turned;
}

std::vector<float> convolution(const Geometry& g, Direction direction, const Kernels& set,
                               const std::vector<float>& src, std::size_t images,
                               const std::vector<float>& weights, std::size_t dst_values) {
  const WinogradConvolution subject(g, direction, set);
  Guarded<float> dst(dst_values);
  AlignedBuffer<float> scratch(subject.scratch_bytes() / sizeof(float));
  subject.run(after_one(src).data() + 1, images, after_one(weights).data() + 1, scratch.data(), dst.data());
  CHECK(dst.intact());
  return dst.values();
}

template <class T>
std::vector<float> weight_gradient(const Geometry& g, SrcValues values, const Kernels& set,
                                   const std::vector<T>& src, const std::vector<float>& diff_dst,
                                   std::size_t images) {
  const WinogradWeightGradient subject(g, values, set);
  Guarded<float> diff_weights(weights_size(g));
  AlignedBuffer<float> scratch(subject.scratch_bytes() / sizeof(float));
  subject.run(after_one(src).data() + 1, after_one(diff_dst).data() + 1, images, scratch.data(),
              diff_weights.data());
  CHECK(diff_weights.intact());
  return diff_weights.values();
}

Results<float> by_tiles(const Geometry& g, const Kernels& set, const Operands& x) {
  return {
      convolution(g, Direction::forward, set, x.src, x.images, outputs_last(g, x.weights), x.diff_dst.size()),
      convolution(g, Direction::backward_data, set, x.diff_dst, x.images, x.weights, x.src.size()),
      weight_gradient(g, SrcValues::as_diff_dst, set, x.src, x.diff_dst, x.images)};
}

std::vector<float> in_floats(const std::vector<double>& x) { return {x.begin(), x.end()}; }

template <class T>
void check_bytes(SrcValues values, const Geometry& g) {
  RandomStream random(5, Purpose::test, 0);
  std::vector<T> src(3 * src_size(g));
  for (T& value : src) value = static_cast<T>(random.below(256));
  const std::vector<float> diff_dst = plain_values(3 * dst_size(g), 6), same(src.begin(), src.end());
  const auto expected = weight_gradient(g, SrcValues::as_diff_dst, reference_kernels(), same, diff_dst, 3);
  for (const Kernels* set : available()) {
    CAPTURE(set->isa);
    CHECK(same_bits(weight_gradient(g, values, *set, src, diff_dst, 3), expected));
  }
}

/// The root of the sum of squared errors.
double error(const std::vector<float>& x, const std::vector<double>& exact) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    sum += (static_cast<double>(x[i]) - exact[i]) * (static_cast<double>(x[i]) - exact[i]);
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("winograd: integers give exact sums, every shape, in every set") {
  for (const Geometry& g : geometries())
    for (const std::size_t images : {1u, 3u}) {
      CAPTURE(g.height);
      CAPTURE(g.width);
      CAPTURE(g.channels);
      CAPTURE(g.outputs);
      const Operands x(g, images, integer_values);
      const Results<double> expected = direct<double>(g, x);
      for (const Kernels* set : available()) {
        CAPTURE(set->isa);
        const Results<float> found = by_tiles(g, *set, x);
        CHECK(found.dst == in_floats(expected.dst));
        CHECK(found.diff_src == in_floats(expected.diff_src));
        CHECK(found.diff_weights == in_floats(expected.diff_weights));
      }
    }
}

TEST_CASE("winograd: every set has the reference's bits, denormals and infinities included") {
  for (const Geometry& g : geometries())
    for (const bool special : {false, true}) {
      CAPTURE(g.height);
      CAPTURE(g.width);
      CAPTURE(special);
      const Operands x(g, 2, special ? special_values : plain_values);
      const Results<float> expected = by_tiles(g, reference_kernels(), x);
      for (const Kernels* set : available()) {
        CAPTURE(set->isa);
        const Results<float> found = by_tiles(g, *set, x);
        CHECK(same_bits(found.dst, expected.dst));
        CHECK(same_bits(found.diff_src, expected.diff_src));
        CHECK(same_bits(found.diff_weights, expected.diff_weights));
      }
    }
}

TEST_CASE("winograd: of bytes as of the integers they are") {
  for (const Geometry& g : geometries()) {
    check_bytes<unsigned char>(SrcValues::unsigned_bytes, g);
    check_bytes<signed char>(SrcValues::signed_bytes, g);
  }
}

TEST_CASE("winograd: an image's result does not hang on its neighbours") {
  const Geometry g = geometry(6, 7, 16, 16);
  const Operands x(g, 5, plain_values);
  const std::vector<float> all = by_tiles(g, active(), x).diff_src;
  for (std::size_t n = 0; n < 5; ++n) {
    const auto first = x.diff_dst.begin() + static_cast<std::ptrdiff_t>(n * dst_size(g));
    const std::vector<float> one(first, first + static_cast<std::ptrdiff_t>(dst_size(g)));
    const auto found = convolution(g, Direction::backward_data, active(), one, 1, x.weights, src_size(g));
    CHECK(std::equal(found.begin(), found.end(), all.begin() + static_cast<std::ptrdiff_t>(n * src_size(g))));
  }
}

TEST_CASE("winograd: errors are no larger than those of a plain sum of floats") {
  for (const Geometry& g : {geometry(32, 32, 16, 16), geometry(8, 8, 64, 64)}) {
    const Operands x(g, 2, plain_values);
    const Results<double> exact = direct<double>(g, x);
    const Results<float> summed = direct<float>(g, x), found = by_tiles(g, active(), x);
    CHECK(error(found.dst, exact.dst) < 1.1 * error(summed.dst, exact.dst));
    CHECK(error(found.diff_src, exact.diff_src) < 1.1 * error(summed.diff_src, exact.diff_src));
    CHECK(error(found.diff_weights, exact.diff_weights) <
          1.1 * error(summed.diff_weights, exact.diff_weights));
  }
}

TEST_CASE("winograd: serves 3 x 3 of stride 1, padding 1 and whole vectors alone") {
  CHECK(has_winograd(geometry(1, 1, 16, 48)));
  CHECK_FALSE(has_winograd(geometry(4, 4, 3, 16)));
  CHECK_FALSE(has_winograd(geometry(4, 4, 16, 24)));
  Geometry g = geometry(4, 4, 16, 16);
  g.stride = 2;
  CHECK_FALSE(has_winograd(g));
  g = geometry(4, 4, 16, 16);
  g.padding = 0;
  CHECK_FALSE(has_winograd(g));
  g = geometry(4, 4, 16, 16);
  g.end_padding = 1;
  CHECK_FALSE(has_winograd(g));
  g = geometry(4, 4, 16, 16);
  g.kernel = 1;
  CHECK_FALSE(has_winograd(g));
}

}  // namespace qtrain::kernels
