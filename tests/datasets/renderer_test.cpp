#include "datasets/renderer.hpp"

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
std::vector<float> expected(const Images& images, const Placement& placement, int padding) {
  const int wide = kWidth + 2 * padding, high = kHeight + 2 * padding;
  std::vector<float> out;
  for (int c = 0; c < 2; ++c) {
    Bytes padded(static_cast<std::size_t>(wide * high));
    for (int y = 0; y < kHeight; ++y)
      for (int x = 0; x < kWidth; ++x)
        padded[static_cast<std::size_t>((y + padding) * wide + x + padding)] =
            images.pixels[static_cast<std::size_t>((c * kHeight + y) * kWidth + x)];
    for (int y = 0; y < kHeight; ++y)
      for (int x = 0; x < kWidth; ++x) {
        const int column = placement.flip ? kWidth - 1 - x : x;
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
        renderer.render(images.pixels.data(), placement, out.data());
        REQUIRE(out == expected(images, placement, 8));
      }
}

TEST_CASE("renderer: a normalisation of another number of channels is refused") {
  CHECK_THROWS_AS(Renderer(two_channels(), {.mean = {0.5f}, .deviation = {0.5f}}), Error);
}

}  // namespace
}  // namespace qtrain::datasets
