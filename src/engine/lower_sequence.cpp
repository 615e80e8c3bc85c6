#include "base/cast.hpp"
#include "engine/lowering.hpp"

// Layers of language models: embeddings, LSTMs, dropout. Their products take the weights in use, as floats.
namespace qtrain::engine {

using onednn::Desc;

SequenceShape Lowering::sequence_of(int v) const {
  const Layout& layout = values_[static_cast<std::size_t>(v)].layout;
  return {layout.images, layout.pixels, layout.channels};
}

void Lowering::lower_embedding(int id, const model::Layer& layer) {
  Node node{.kind = Node::Kind::embedding, .name = layer.name, .src = value_of(layer.inputs[0])};
  node.weights = shared_.parameters.find(id, ParameterSlot::Kind::weight);
  const void* table =
      shared_.parameters.copy(*node.weights, Parameters::Content::used, onednn::plain(node.weights->shape));
  Value dst = make_floats(layer.name, onednn::channels_last(dims_of(id)));
  dst.needs_gradient = true;
  node.dst = add_value(std::move(dst));
  program().step(embedding_forward(layer.name, floats(node.src, layer.name), static_cast<const float*>(table),
                                   floats(node.dst, layer.name), sequence_of(node.dst)));
  result(id).value = node.dst;
  nodes_.push_back(std::move(node));
}

void Lowering::backward_embedding(Node& node) {
  const TensorId diff_dst = gradient_of(node.dst, node.name);
  const Desc desc = onednn::plain(node.weights->shape);
  const TensorId partial = program().tensor(node.name + " weight gradient", desc.get_size(), true);
  program().step(embedding_backward(node.name, floats(node.src, node.name), diff_dst, partial,
                                    narrow<std::size_t>(node.weights->shape[0]), sequence_of(node.dst)));
  add_partial(*node.weights, {partial, desc}, nullptr, node.name);
}

void Lowering::lower_lstm(int id, const model::Layer& layer) {
  Node node{.kind = Node::Kind::lstm, .name = layer.name, .src = value_of(layer.inputs[0])};
  node.weights = shared_.parameters.find(id, ParameterSlot::Kind::weight);
  node.biases = shared_.parameters.find(id, ParameterSlot::Kind::bias);
  Value dst = make_floats(layer.name, onednn::channels_last(dims_of(id)));
  dst.needs_gradient = true;
  node.dst = add_value(std::move(dst));
  const SequenceShape shape = sequence_of(node.dst);
  const std::size_t bytes = value(node.dst).desc.get_size();
  LstmTensors& t = node.lstm;
  t.src = floats(node.src, layer.name);
  t.dst = floats(node.dst, layer.name);
  t.gates = program().tensor(layer.name + " gates", 4 * bytes);
  t.cells = program().tensor(layer.name + " cells", bytes);
  t.tanhs = program().tensor(layer.name + " tanh of cells", bytes);
  t.initial = program().tensor(layer.name + " initial", 2 * bytes / shape.steps);
  t.scratch = program().tensor(layer.name + " scratch", lstm_scratch_bytes(shape));
  const void* transposed = shared_.parameters.copy(*node.weights, Parameters::Content::used,
                                                   onednn::transposed(node.weights->shape));
  program().step(lstm_forward(layer.name, t, static_cast<const float*>(transposed),
                              shared_.parameters.used(*node.biases).data(), shared_.carried[id], shape));
  result(id).value = node.dst;
  nodes_.push_back(std::move(node));
}

void Lowering::backward_lstm(Node& node) {
  const TensorId diff_dst = gradient_of(node.dst, node.name);
  const TensorId diff_src = new_diff(node.src, node.name);
  const Desc weights = onednn::plain(node.weights->shape), biases = onednn::plain(node.biases->shape);
  const TensorId diff_weights = program().tensor(node.name + " weight gradient", weights.get_size(), true);
  const TensorId diff_bias = program().tensor(node.name + " bias gradient", biases.get_size(), true);
  const void* u = shared_.parameters.copy(*node.weights, Parameters::Content::used, weights);
  node.lstm.scratch = program().tensor(node.name + " scratch", lstm_scratch_bytes(sequence_of(node.dst)));
  program().step(lstm_backward(node.name, node.lstm, static_cast<const float*>(u), diff_dst, diff_src,
                               diff_weights, diff_bias, sequence_of(node.dst)));
  add_partial(*node.weights, {diff_weights, weights}, nullptr, node.name);
  add_partial(*node.biases, {diff_bias, biases}, nullptr, node.name);
}

void Lowering::lower_dropout(int id, const model::Layer& layer) {
  int src = value_of(layer.inputs[0]);
  std::vector<Result::Term> codes;  // taken in evaluation too: affines go by their order
  if (value(src).unit != nullptr) codes = terms_of(layer.inputs[0]);
  if (!training_) {
    result(id).value = src;
    return;
  }
  if (!codes.empty()) src = elementwise(layer.name, codes, nullptr);  // a code over 1 - rate is none
  Node node{.kind = Node::Kind::dropout, .name = layer.name, .src = src};
  node.rate = layer.rate;
  Value dst = make_floats(layer.name, value(src).desc);
  dst.needs_gradient = value(src).needs_gradient;
  const Layout layout = dst.layout;
  node.mask = program().values(layer.name + " mask", layout.size(), Storage::unsigned_byte);
  node.dst = add_value(std::move(dst));
  program().step(dropout_forward(layer.name, layer.rate, id, shared_.seed, floats(src, layer.name),
                                 floats(node.dst, layer.name), node.mask, layout.images,
                                 layout.size() / layout.images));
  result(id).value = node.dst;
  nodes_.push_back(std::move(node));
}

void Lowering::backward_dropout(Node& node) {
  if (!value(node.src).needs_gradient) return;
  const TensorId diff_dst = gradient_of(node.dst, node.name);
  const TensorId diff_src = new_diff(node.src, node.name);
  program().step(
      dropout_backward(node.name, node.rate, diff_dst, node.mask, diff_src, value(node.src).layout.size()));
}

}  // namespace qtrain::engine
