#include "model/graph.hpp"

#include <algorithm>
#include <utility>

#include "base/cast.hpp"
#include "base/error.hpp"

namespace qtrain::model {
namespace {

bool is_image(const Shape& shape) { return shape.size() == 3; }
bool is_sequence(const Shape& shape) { return shape.size() == 1; }

void require_image(const Graph& graph, const Layer& layer, const Shape& src) {
  if (!is_image(src)) {
    fail(ExitCode::usage, "layer {} of {}: needs an image CxHxW but its input is {}; move it before flatten",
         layer.name, graph.name, to_string(src));
  }
}

/// Positions of a square window along one side of `size` pixels, rounded down.
std::int64_t positions(const Layer& layer, std::int64_t size) {
  return (size + 2 * layer.padding + layer.end_padding - layer.kernel) / layer.stride + 1;
}

/// Shape after sliding the layer's window over `src`, with `channels` output channels.
Shape slide(const Graph& graph, const Layer& layer, const Shape& src, std::int64_t channels) {
  require_image(graph, layer, src);
  QTRAIN_CHECK(layer.kernel > 0 && layer.stride > 0 && layer.padding >= 0 && layer.end_padding >= 0,
               "window of layer {}", layer.name);
  if (std::min(src[1], src[2]) + 2 * layer.padding + layer.end_padding < layer.kernel) {
    fail(ExitCode::usage,
         "layer {} of {}: its {}x{} window does not fit its {} input padded by {}; use images larger than {}",
         layer.name, graph.name, layer.kernel, layer.kernel, to_string(src), layer.padding,
         to_string(graph.input));
  }
  return {channels, positions(layer, src[1]), positions(layer, src[2])};
}

Shape add_shape(const Graph& graph, const Layer& layer, const Shape& left, const Shape& right) {
  if (left != right) {
    fail(ExitCode::usage, "layer {} of {}: adds {} to {}; give both branches the same channels and strides",
         layer.name, graph.name, to_string(left), to_string(right));
  }
  return left;
}

Shape linear_shape(const Graph& graph, const Layer& layer, const Shape& src) {
  if (src.size() != 1) {
    fail(ExitCode::usage, "layer {} of {}: needs a vector but its input is {}; put a flatten before it",
         layer.name, graph.name, to_string(src));
  }
  return {layer.channels};
}

Shape shortcut_pad_shape(const Graph& graph, const Layer& layer, const Shape& src) {
  require_image(graph, layer, src);
  if (layer.channels < src[0]) {
    fail(ExitCode::usage, "layer {} of {}: pads {} channels to {}; a shortcut cannot drop channels",
         layer.name, graph.name, src[0], layer.channels);
  }
  return {layer.channels, (src[1] - 1) / layer.stride + 1, (src[2] - 1) / layer.stride + 1};
}

Shape input_shape(const Graph& graph, const Layer& layer) {
  bool valid = is_image(graph.input) || is_sequence(graph.input);
  for (const std::int64_t size : graph.input) valid = valid && size > 0;
  if (!valid) {
    fail(ExitCode::usage,
         "layer {} of {}: input is {}, must be an image CxHxW or a sequence of T tokens, with positive sizes",
         layer.name, graph.name, to_string(graph.input));
  }
  return graph.input;
}

Shape embedding_shape(const Graph& graph, const Layer& layer, const Shape& src) {
  if (!is_sequence(src)) {
    fail(ExitCode::usage,
         "layer {} of {}: needs a sequence of tokens but its input is {}; use a data set of text", layer.name,
         graph.name, to_string(src));
  }
  return {layer.channels, src[0], 1};
}

Shape lstm_shape(const Graph& graph, const Layer& layer, const Shape& src) {
  require_image(graph, layer, src);
  if (src[0] != 4 * layer.channels || src[2] != 1) {
    fail(ExitCode::usage, "layer {} of {}: its {} features need 4 gates each for every token, {}xTx1, not {}",
         layer.name, graph.name, layer.channels, 4 * layer.channels, to_string(src));
  }
  return {layer.channels, src[1], 1};
}

int input_count(Op op) { return op == Op::input ? 0 : op == Op::add ? 2 : 1; }

/// Throws unless the layer reads as many earlier layers as its operation takes.
void check_edges(const Graph& graph, std::size_t index) {
  const Layer& layer = graph.layers[index];
  QTRAIN_CHECK(std::ssize(layer.inputs) == input_count(layer.op), "inputs of layer {}", layer.name);
  for (const int input : layer.inputs) {
    QTRAIN_CHECK(input >= 0 && std::cmp_less(input, index), "layer {} reads layer {}", layer.name, input);
  }
}

Shape layer_shape(const Graph& graph, const Layer& layer, const std::vector<Shape>& shapes) {
  const auto src = [&](std::size_t i) -> const Shape& {
    return shapes[static_cast<std::size_t>(layer.inputs[i])];
  };
  switch (layer.op) {
    case Op::input:
      return input_shape(graph, layer);
    case Op::convolution:
      return slide(graph, layer, src(0), layer.channels);
    case Op::max_pool:
    case Op::average_pool:
      return slide(graph, layer, src(0), src(0)[0]);
    case Op::linear:
      return linear_shape(graph, layer, src(0));
    case Op::batch_norm:
    case Op::activation:
    case Op::dropout:
      return src(0);
    case Op::global_average_pool:
      require_image(graph, layer, src(0));
      return {src(0)[0], 1, 1};
    case Op::local_response_norm:
      require_image(graph, layer, src(0));
      return src(0);
    case Op::add:
      return add_shape(graph, layer, src(0), src(1));
    case Op::shortcut_pad:
      return shortcut_pad_shape(graph, layer, src(0));
    case Op::flatten:
      return {narrow<std::int64_t>(element_count(src(0)))};
    case Op::embedding:
      return embedding_shape(graph, layer, src(0));
    case Op::lstm:
      return lstm_shape(graph, layer, src(0));
  }
  QTRAIN_CHECK(false, "operation of layer {}", layer.name);
}

/// OIHW of a convolution, OI of a linear layer that reads `src`, one row a token of an embedding, [4H][H] of
/// an lstm.
Shape weight_shape(const Graph& graph, const Layer& layer, const Shape& src) {
  switch (layer.op) {
    case Op::convolution:
      return {layer.channels, src[0], layer.kernel, layer.kernel};
    case Op::embedding:
      return {graph.classes, layer.channels};
    case Op::lstm:
      return {src[0], layer.channels};
    default:
      return {layer.channels, src[0]};
  }
}

bool has_weights(const Layer& layer) {
  return layer.op == Op::convolution || layer.op == Op::linear || layer.op == Op::embedding ||
         layer.op == Op::lstm;
}

}  // namespace

const char* op_name(Op op) {
  switch (op) {
    case Op::input:
      return "input";
    case Op::convolution:
      return "convolution";
    case Op::linear:
      return "linear";
    case Op::batch_norm:
      return "batch norm";
    case Op::activation:
      return "activation";
    case Op::max_pool:
      return "max pool";
    case Op::average_pool:
      return "average pool";
    case Op::global_average_pool:
      return "global average pool";
    case Op::local_response_norm:
      return "local response norm";
    case Op::add:
      return "add";
    case Op::shortcut_pad:
      return "shortcut pad";
    case Op::flatten:
      return "flatten";
    case Op::embedding:
      return "embedding";
    case Op::lstm:
      return "lstm";
    case Op::dropout:
      break;
  }
  return "dropout";
}

std::vector<Shape> infer_shapes(const Graph& graph) {
  std::vector<Shape> shapes;
  shapes.reserve(graph.layers.size());
  for (std::size_t i = 0; i < graph.layers.size(); ++i) {
    check_edges(graph, i);
    shapes.push_back(layer_shape(graph, graph.layers[i], shapes));
  }
  return shapes;
}

std::vector<Parameter> parameters(const Graph& graph) {
  using Kind = Parameter::Kind;
  const std::vector<Shape> shapes = infer_shapes(graph);
  std::vector<Parameter> all;
  for (std::size_t i = 0; i < graph.layers.size(); ++i) {
    const Layer& layer = graph.layers[i];
    const int index = narrow<int>(i);
    const Shape channels = {shapes[i][0]};
    if (has_weights(layer)) {
      const Shape& src = shapes[static_cast<std::size_t>(layer.inputs[0])];
      const Shape weights = weight_shape(graph, layer, src);
      const Shape biases = layer.op == Op::lstm ? Shape{weights[0]} : channels;
      all.push_back({layer.name + ".weight", index, Kind::weight, weights});
      if (layer.bias) all.push_back({layer.name + ".bias", index, Kind::bias, biases});
    } else if (layer.op == Op::batch_norm && layer.affine) {
      all.push_back({layer.name + ".gamma", index, Kind::gamma, channels});
      all.push_back({layer.name + ".beta", index, Kind::beta, channels});
    }
  }
  return all;
}

std::vector<std::int64_t> multiply_accumulates(const Graph& graph) {
  const std::vector<Shape> shapes = infer_shapes(graph);
  std::vector<std::int64_t> counts(graph.layers.size(), 0);
  for (std::size_t i = 0; i < graph.layers.size(); ++i) {
    const Layer& layer = graph.layers[i];
    if (!has_weights(layer) || layer.op == Op::embedding) continue;
    const Shape& src = shapes[static_cast<std::size_t>(layer.inputs[0])];
    const std::size_t weights = element_count(weight_shape(graph, layer, src));
    const std::size_t uses = element_count(shapes[i]) / static_cast<std::size_t>(layer.channels);
    counts[i] = narrow<std::int64_t>(weights * uses);
  }
  return counts;
}

}  // namespace qtrain::model
