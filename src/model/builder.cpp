#include "model/builder.hpp"

#include <utility>

#include "base/cast.hpp"

namespace qtrain::model {

Builder::Builder(std::string name, const Shape& input, int classes) {
  graph_.name = std::move(name);
  graph_.input = input;
  graph_.classes = classes;
  if (input.size() == 1) graph_.targets = narrow<int>(input[0]);
  append("input", Op::input, {});
}

int Builder::convolution(const std::string& name, int src, const Convolution& convolution) {
  Layer& layer = append(name, Op::convolution, {src});
  layer.channels = convolution.channels;
  layer.kernel = convolution.kernel;
  layer.stride = convolution.stride;
  layer.padding = convolution.padding;
  layer.bias = convolution.bias;
  layer.init = Init::he_normal_fan_out;
  return last();
}

int Builder::linear(const std::string& name, int src, int features) {
  Layer& layer = append(name, Op::linear, {src});
  layer.channels = features;
  layer.bias = true;
  layer.init = Init::uniform_fan_in;
  return last();
}

int Builder::batch_norm(const std::string& name, int src, bool affine) {
  append(name, Op::batch_norm, {src}).affine = affine;
  return last();
}

int Builder::activation(const std::string& name, int src) {
  append(name, Op::activation, {src});
  return last();
}

int Builder::max_pool(const std::string& name, int src, int size) {
  return max_pool(name, src, {.size = size, .stride = size});
}

int Builder::max_pool(const std::string& name, int src, const Pool& pool) {
  Layer& layer = append(name, Op::max_pool, {src});
  layer.kernel = pool.size;
  layer.stride = pool.stride;
  layer.padding = pool.padding;
  layer.end_padding = pool.end_padding;
  return last();
}

int Builder::global_average_pool(const std::string& name, int src) {
  append(name, Op::global_average_pool, {src});
  return last();
}

int Builder::local_response_norm(const std::string& name, int src, const ResponseNorm& norm) {
  append(name, Op::local_response_norm, {src}).response_norm = norm;
  return last();
}

int Builder::flatten(const std::string& name, int src) {
  append(name, Op::flatten, {src});
  return last();
}

int Builder::add(const std::string& name, int left, int right) {
  append(name, Op::add, {left, right});
  return last();
}

int Builder::shortcut_pad(const std::string& name, int src, int channels, int stride) {
  Layer& layer = append(name, Op::shortcut_pad, {src});
  layer.channels = channels;
  layer.stride = stride;
  return last();
}

int Builder::embedding(const std::string& name, int src, int features) {
  append(name, Op::embedding, {src}).channels = features;
  return last();
}

int Builder::lstm(const std::string& name, int src, int features, double forget_bias) {
  Layer& layer = append(name, Op::lstm, {src});
  layer.channels = features;
  layer.bias = true;
  layer.initial_bias = forget_bias;
  return last();
}

int Builder::dropout(const std::string& name, int src, double rate) {
  append(name, Op::dropout, {src}).rate = rate;
  return last();
}

int Builder::start_uniform(int layer, double bound) {
  Layer& started = graph_.layers[static_cast<std::size_t>(layer)];
  started.init = Init::uniform;
  started.deviation = bound;
  return layer;
}

int Builder::start(int layer, double deviation, double bias) {
  Layer& started = graph_.layers[static_cast<std::size_t>(layer)];
  started.init = Init::truncated_normal;
  started.deviation = deviation;
  started.initial_bias = bias;
  return layer;
}

Layer& Builder::append(const std::string& name, Op op, std::vector<int> inputs) {
  Layer& layer = graph_.layers.emplace_back();
  layer.name = name;
  layer.op = op;
  layer.inputs = std::move(inputs);
  return layer;
}

int Builder::last() const { return narrow<int>(graph_.layers.size()) - 1; }

}  // namespace qtrain::model
