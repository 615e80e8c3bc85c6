#include <algorithm>
#include <cmath>

#include "base/sha256.hpp"
#include "datasets/dataset.hpp"
#include "datasets/fixtures.hpp"
#include "datasets/shapes10_draw.hpp"
#include "datasets/shapes10_outline.hpp"

namespace qtrain::datasets {
namespace {

constexpr std::size_t kImage = 3 * 32 * 32;

Dataset shapes(int train, int test) {
  DatasetSpec spec;
  spec.limit = {.train = train, .test = test};
  return find("shapes10")->load("", spec);
}

std::string digest(const Bytes& bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

// The images are part of every published number: these digests may never change.
TEST_CASE("shapes10: the first images are these, on every machine") {
  const Dataset set = shapes(100, 100);
  CHECK(digest(set.train.pixels) == "9b01338cc8bafd32c36aa2987598831a01d17baf96d81348ab119899bd89e2c6");
  CHECK(digest(set.test.pixels) == "393411f81d5938ed9fb2a45a256571bc36e6e99094b176b563afa6b5f6e3dd8e");
}

TEST_CASE("shapes10: an image follows from split and index, however many are made") {
  const Dataset few = shapes(130, 20), more = shapes(260, 40);
  REQUIRE(few.train.count == 130);
  REQUIRE(few.train.pixels.size() == 130 * kImage);
  CHECK(std::equal(few.train.pixels.begin(), few.train.pixels.end(), more.train.pixels.begin()));
  CHECK(std::equal(few.test.pixels.begin(), few.test.pixels.end(), more.test.pixels.begin()));
  Bytes alone(kImage);
  CHECK(shapes10::draw(0, 257, alone.data()) == 7);
  CHECK(std::equal(alone.begin(), alone.end(), more.train.pixels.begin() + 257 * kImage));
  CHECK(shapes10::draw(1, 33, alone.data()) == 3);
  CHECK(std::equal(alone.begin(), alone.end(), more.test.pixels.begin() + 33 * kImage));
  CHECK(!std::equal(few.test.pixels.begin(), few.test.pixels.end(), few.train.pixels.begin()));
  for (int i = 0; i < 130; ++i) REQUIRE(few.train.labels[static_cast<std::size_t>(i)] == i % 10);
}

TEST_CASE("shapes10: the stated normalisation is the measured one") {
  const Dataset set = shapes(3000, 1);
  for (std::size_t channel = 0; channel < 3; ++channel) {
    double sum = 0, squares = 0;
    for (std::size_t image = 0; image < 3000; ++image)
      for (std::size_t p = 0; p < 1024; ++p) {
        const double x = set.train.pixels[image * kImage + channel * 1024 + p] / 255.0;
        sum += x, squares += x * x;
      }
    const double n = 3000.0 * 1024, mean = sum / n;
    CHECK(static_cast<double>(set.normalization.mean[channel]) == doctest::Approx(mean).epsilon(0.02));
    CHECK(static_cast<double>(set.normalization.deviation[channel]) ==
          doctest::Approx(std::sqrt(squares / n - mean * mean)).epsilon(0.02));
  }
}

TEST_CASE("shapes10: no class gives itself away by its mean colour") {
  const Dataset set = shapes(4000, 1);
  for (std::size_t label = 0; label < 10; ++label) {
    double sum = 0;
    for (std::size_t image = label; image < 4000; image += 10)
      for (std::size_t p = 0; p < kImage; ++p) sum += set.train.pixels[image * kImage + p];
    CHECK(sum / (400.0 * kImage * 255) == doctest::Approx(0.5).epsilon(0.06));
  }
}

TEST_CASE("shapes10: outlines fill a good part of the unit circle, and none is another") {
  std::vector<std::string> masks;
  for (int outline = 0; outline < shapes10::kOutlines; ++outline) {
    std::string mask;
    for (int y = -16; y < 16; ++y)
      for (int x = -16; x < 16; ++x) {
        const float u = (static_cast<float>(x) + 0.5f) / 12, v = (static_cast<float>(y) + 0.5f) / 12;
        const bool inside = shapes10::edge_distance(static_cast<shapes10::Outline>(outline), u, v) < 0;
        REQUIRE(!(inside && u * u + v * v > 1.6f));
        mask += inside ? '#' : '.';
      }
    const auto area = std::count(mask.begin(), mask.end(), '#');  // of about 452 in the circle
    CHECK(area > 120);
    CHECK(area < 400);
    for (const std::string& other : masks) {
      int differ = 0;
      for (std::size_t i = 0; i < mask.size(); ++i) differ += mask[i] != other[i];
      CHECK(differ > 15);
    }
    masks.push_back(mask);
  }
}

}  // namespace
}  // namespace qtrain::datasets
