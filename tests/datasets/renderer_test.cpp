#include "datasets/renderer.hpp"

#include <cmath>

#include "datasets/fixtures.hpp"

namespace qtrain::datasets {
namespace {

constexpr int kHeight = 5, kWidth = 7;

Images two_channels() {
  return {.count = 1,
          .channels = 2,
          .height = kHeight,
          .width = kWidth,
          .classes = 1,
          .pixels = followed_by_ramp({}, 2 * kHeight * kWidth, 170),
          .labels = {0}};
}

const Normalization kNormalization{.mean = {0.25f, 0.5f}, .deviation = {0.5f, 2.0f}};

/// Straight from the definition, on an image really padded with black, cut and mirrored.
std::vector<float> expected(const Images& images, const Placement& placement, int padding,
                            int out_height = kHeight, int out_width = kWidth) {
  const int wide = kWidth + 2 * padding, high = kHeight + 2 * padding;
  std::vector<float> out;
  for (int c = 0; c < 2; ++c) {
    Bytes padded(static_cast<std::size_t>(wide * high));
    for (int y = 0; y < kHeight; ++y)
      for (int x = 0; x < kWidth; ++x)
        padded[static_cast<std::size_t>((y + padding) * wide + x + padding)] =
            images.pixels[static_cast<std::size_t>((c * kHeight + y) * kWidth + x)];
    for (int y = 0; y < out_height; ++y)
      for (int x = 0; x < out_width; ++x) {
        const int column = placement.flip ? out_width - 1 - x : x;
        const int at = (y + padding + placement.down) * wide + column + padding + placement.right;
        const auto channel = static_cast<std::size_t>(c);
        const float value = static_cast<float>(padded[static_cast<std::size_t>(at)]) / 255.0f;
        out.push_back((value - kNormalization.mean[channel]) / kNormalization.deviation[channel]);
      }
  }
  return out;
}

TEST_CASE("renderer: every shift and flip agrees with padding, cropping and mirroring") {
  const Images images = two_channels();
  const Renderer renderer(images, kNormalization);
  REQUIRE(renderer.image_size() == 2 * kHeight * kWidth);
  std::vector<float> out(renderer.image_size());
  for (int down = -8; down <= 8; ++down)
    for (int right = -8; right <= 8; ++right)
      for (const bool flip : {false, true}) {
        const Placement placement{.down = down, .right = right, .flip = flip};
        renderer.render(images.pixels.data(), placement, {}, out.data());
        REQUIRE(out == expected(images, placement, 8));
      }
}

TEST_CASE("renderer: every crop, also of a padded image, agrees with cutting and mirroring") {
  const Images images = two_channels();
  for (const int crop : {1, 3, 5}) {
    const Renderer renderer(images, kNormalization, {.crop = crop});
    REQUIRE(renderer.image_size() == static_cast<std::size_t>(2 * crop * crop));
    std::vector<float> out(renderer.image_size());
    for (int down = -2; down <= kHeight - crop + 2; ++down)
      for (int right = -2; right <= kWidth - crop + 2; ++right)
        for (const bool flip : {false, true}) {
          const Placement placement{.down = down, .right = right, .flip = flip};
          renderer.render(images.pixels.data(), placement, {}, out.data());
          REQUIRE(out == expected(images, placement, 2, crop, crop));
        }
  }
  CHECK_THROWS_AS(Renderer(images, kNormalization, {.crop = 6}), Error);
}

// What TensorFlow computes: brightness, then contrast about each channel's mean, then per-image
// standardization.
TEST_CASE("renderer: colours and standardization, re-derived in double") {
  const Images images = two_channels();
  constexpr std::size_t kPlane = kHeight * kWidth;
  const Colours colours{.brightness = -0.2f, .contrast = 2.5f};
  std::vector<double> x;
  for (const std::uint8_t byte : images.pixels) x.push_back(byte / 255.0 - 0.2);
  for (std::size_t c = 0; c < 2; ++c) {
    double mean = 0;
    for (std::size_t i = 0; i < kPlane; ++i) mean += x[c * kPlane + i] / kPlane;
    for (std::size_t i = 0; i < kPlane; ++i) x[c * kPlane + i] = (x[c * kPlane + i] - mean) * 2.5 + mean;
  }
  double mean = 0, variance = 0;
  for (const double value : x) mean += value / 70;
  for (const double value : x) variance += (value - mean) * (value - mean) / 70;
  REQUIRE(std::sqrt(variance) > 1 / std::sqrt(70));
  for (const bool by_image : {false, true}) {
    const Renderer renderer(images, kNormalization, {.colours = true, .standardize_image = by_image});
    std::vector<float> out(renderer.image_size());
    renderer.render(images.pixels.data(), {}, colours, out.data());
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t c = i / kPlane;
      const double wanted =
          by_image ? (x[i] - mean) / std::sqrt(variance)
                   : (x[i] - static_cast<double>(kNormalization.mean[c])) / kNormalization.deviation[c];
      REQUIRE(out[i] == doctest::Approx(wanted).epsilon(2e-5));
    }
  }
}

TEST_CASE("renderer: the deviation of an image counts as 1 / sqrt(values) at least") {
  std::vector<float> flat(64, 0.75f), faint(64);
  standardize_image(flat);
  CHECK(flat == std::vector<float>(64, 0.0f));
  for (std::size_t i = 0; i < 64; ++i) faint[i] = i % 2 == 0 ? 0.5f : 0.625f;  // deviation 1/16, below 1/8
  standardize_image(faint);
  for (std::size_t i = 0; i < 64; ++i) CHECK(faint[i] == (i % 2 == 0 ? -0.5f : 0.5f));
  std::vector<float> strong = {0, 1, 0, 1};
  standardize_image(strong);
  CHECK(strong == std::vector<float>{-1, 1, -1, 1});
}

TEST_CASE("renderer: a normalisation of another number of channels is refused") {
  CHECK_THROWS_AS(Renderer(two_channels(), {.mean = {0.5f}, .deviation = {0.5f}}), Error);
}

}  // namespace
}  // namespace qtrain::datasets
