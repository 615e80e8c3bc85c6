// The compiled cifarnet against its definition in plain loops.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/net.hpp"

using namespace qtrain;
using namespace qtrain::engine;

namespace {

/// An image or a vector (height = width = 1) of doubles, channel slowest.
struct Image {
  int channels, height, width;
  std::vector<double> values;
  Image(int c, int h, int w)
      : channels(c), height(h), width(w), values(static_cast<std::size_t>(c * h * w), 0.0) {}
  double& at(int c, int y, int x) { return values[static_cast<std::size_t>((c * height + y) * width + x)]; }
  double at(int c, int y, int x) const {
    return values[static_cast<std::size_t>((c * height + y) * width + x)];
  }
  bool holds(int y, int x) const { return y >= 0 && x >= 0 && y < height && x < width; }
};

Image convolve(const Image& src, std::span<const float> w, std::span<const float> bias) {
  const int outputs = static_cast<int>(bias.size());
  Image dst(outputs, src.height, src.width);
  for (int o = 0; o < outputs; ++o)
    for (int y = 0; y < src.height; ++y)
      for (int x = 0; x < src.width; ++x) {
        dst.at(o, y, x) = static_cast<double>(bias[static_cast<std::size_t>(o)]);
        for (int c = 0; c < src.channels; ++c)
          for (int k = 0; k < 25; ++k)
            if (const int iy = y + k / 5 - 2, ix = x + k % 5 - 2; src.holds(iy, ix))
              dst.at(o, y, x) +=
                  static_cast<double>(w[static_cast<std::size_t>((o * src.channels + c) * 25 + k)]) *
                  src.at(c, iy, ix);
      }
  return dst;
}

/// Pixels before the first of a 3x3 window with stride 2 in TensorFlow's SAME.
int before(int size) { return std::max(((size + 1) / 2 - 1) * 2 + 3 - size, 0) / 2; }

Image pool(const Image& src) {
  Image dst(src.channels, (src.height + 1) / 2, (src.width + 1) / 2);
  for (int c = 0; c < src.channels; ++c)
    for (int y = 0; y < dst.height; ++y)
      for (int x = 0; x < dst.width; ++x) {
        dst.at(c, y, x) = -std::numeric_limits<double>::infinity();
        for (int k = 0; k < 9; ++k)
          if (const int iy = 2 * y + k / 3 - before(src.height), ix = 2 * x + k % 3 - before(src.width);
              src.holds(iy, ix))
            dst.at(c, y, x) = std::max(dst.at(c, y, x), src.at(c, iy, ix));
      }
  return dst;
}

Image normalize(const Image& src) {
  Image dst = src;
  for (int y = 0; y < src.height; ++y)
    for (int x = 0; x < src.width; ++x)
      for (int c = 0; c < src.channels; ++c) {
        double squares = 0;
        for (int j = std::max(c - 4, 0); j <= std::min(c + 4, src.channels - 1); ++j)
          squares += src.at(j, y, x) * src.at(j, y, x);
        dst.at(c, y, x) /= std::pow(1 + 0.001 / 9 * squares, 0.75);
      }
  return dst;
}

Image connect(const Image& src, std::span<const float> w, std::span<const float> bias) {
  Image dst(static_cast<int>(bias.size()), 1, 1);
  for (std::size_t o = 0; o < bias.size(); ++o) {
    dst.values[o] = static_cast<double>(bias[o]);
    for (std::size_t i = 0; i < src.values.size(); ++i)
      dst.values[o] += static_cast<double>(w[o * src.values.size() + i]) * src.values[i];
  }
  return dst;
}

Image relu(Image x) {
  for (double& value : x.values) value = std::max(value, 0.0);
  return x;
}

}  // namespace

TEST_CASE("cifarnet's logits are those of its definition, on even and odd sizes") {
  for (const int size : {12, 10, 7}) {
    CAPTURE(size);
    spec::Document document = spec::Document::parse("{name: cifarnet, filters: 11}", "test.yaml");
    model::ModelSpec spec;
    const model::Graph graph = spec.read(document.root(), {3, size, size}, 10);
    Engine engine(graph, {}, {}, {.shard = 2, .batch = 3, .seed = 4});
    for (float& u : engine.latents()) u *= 3;  // so that the norms are not all but 1
    const test::Data data(graph, 3);
    engine.use_weights({});
    const std::vector<float> logits = engine.logits(data.images, 3);
    const auto p = [&](std::size_t k) { return engine.used(engine.slots()[k]); };
    for (std::size_t n = 0; n < 3; ++n) {
      Image x(3, size, size);
      for (std::size_t i = 0; i < x.values.size(); ++i)
        x.values[i] = static_cast<double>(data.images[n * x.values.size() + i]);
      x = normalize(pool(relu(convolve(x, p(0), p(1)))));
      x = pool(normalize(relu(convolve(x, p(2), p(3)))));
      x = connect(relu(connect(relu(connect(x, p(4), p(5))), p(6), p(7))), p(8), p(9));
      double largest = 0;
      for (const double logit : x.values) largest = std::max(largest, std::abs(logit));
      for (std::size_t k = 0; k < 10; ++k) CHECK(std::abs(logits[n * 10 + k] - x.values[k]) < 1e-5 * largest);
    }
  }
}
