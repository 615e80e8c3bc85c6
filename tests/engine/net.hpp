#pragma once
#include <string>
#include <vector>

#include "base/random.hpp"
#include "engine/engine.hpp"

namespace qtrain::engine::test {

/// A graph written layer by layer; each call returns the layer's index.
struct Net {
  model::Graph graph;
  explicit Net(Shape input, int classes) {
    graph.name = "test";
    graph.input = std::move(input);
    graph.classes = classes;
    graph.layers.push_back({.name = "input", .op = model::Op::input, .inputs = {}});
  }
  int add(model::Layer layer) {
    if (layer.inputs.empty()) layer.inputs = {last()};
    layer.name = std::string(layer.name) + std::to_string(graph.layers.size());
    graph.layers.push_back(std::move(layer));
    return last();
  }
  int last() const { return static_cast<int>(graph.layers.size()) - 1; }

  int conv(int channels, int kernel, int stride, int padding, bool bias = false, std::vector<int> from = {}) {
    return add({.name = "conv",
                .op = model::Op::convolution,
                .inputs = std::move(from),
                .channels = channels,
                .kernel = kernel,
                .stride = stride,
                .padding = padding,
                .bias = bias});
  }
  int norm(bool affine, std::vector<int> from = {}) {
    return add({.name = "bn", .op = model::Op::batch_norm, .inputs = std::move(from), .affine = affine});
  }
  int act(std::vector<int> from = {}) {
    return add({.name = "act", .op = model::Op::activation, .inputs = std::move(from)});
  }
  int pool(model::Op op, int kernel = 1, int stride = 1, int padding = 0, int end_padding = 0) {
    return add({.name = "pool",
                .op = op,
                .inputs = {},
                .kernel = kernel,
                .stride = stride,
                .padding = padding,
                .end_padding = end_padding});
  }
  int response_norm(const model::ResponseNorm& norm, std::vector<int> from = {}) {
    return add({.name = "lrn",
                .op = model::Op::local_response_norm,
                .inputs = std::move(from),
                .response_norm = norm});
  }
  int sum(int x, int y) { return add({.name = "add", .op = model::Op::add, .inputs = {x, y}}); }
  int shortcut(int from, int channels, int stride) {
    return add({.name = "shortcut",
                .op = model::Op::shortcut_pad,
                .inputs = {from},
                .channels = channels,
                .stride = stride});
  }
  int linear(int features, bool bias = true) {
    return add({.name = "fc",
                .op = model::Op::linear,
                .inputs = {},
                .channels = features,
                .bias = bias,
                .init = model::Init::uniform_fan_in});
  }
  int flatten() { return add({.name = "flatten", .op = model::Op::flatten, .inputs = {}}); }
};

/// Random images and labels for a graph.
struct Data {
  std::vector<float> images;
  std::vector<std::int32_t> labels;
  Data(const model::Graph& graph, int count, std::uint64_t seed = 1) {
    RandomStream random(seed, Purpose::test);
    images.resize(static_cast<std::size_t>(count) * element_count(graph.input));
    for (float& x : images) x = random.normal();
    for (int n = 0; n < count; ++n)
      labels.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(graph.classes))));
  }
};

/// Two blocks, the second with stride and more channels; option A or convolution shortcuts.
inline Net residual_net(int width, bool option_a) {
  Net net({3, 10, 10}, 5);
  net.conv(width, 3, 1, 1);
  net.norm(true);
  const int first = net.act();
  net.conv(width, 3, 1, 1);
  const int middle = net.norm(true);
  net.sum(middle, first);
  const int second = net.act();
  net.conv(2 * width, 3, 2, 1);
  const int third = net.norm(true);
  const int around = option_a ? net.shortcut(second, 2 * width, 2)
                              : net.norm(true, {net.conv(2 * width, 1, 2, 0, false, {second})});
  net.sum(third, around);
  net.act();
  net.pool(model::Op::global_average_pool);
  net.flatten();
  net.linear(5);
  return net;
}

}  // namespace qtrain::engine::test
