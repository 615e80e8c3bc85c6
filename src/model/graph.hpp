#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "spec/reader.hpp"
#include "tensor/shape.hpp"

namespace qtrain::model {

enum class Op {
  input,  ///< the batch of images, or of sequences of tokens
  convolution,
  linear,
  batch_norm,
  activation,  ///< the model's non-linearity: ReLU, unless the experiment quantizes activations
  max_pool,
  average_pool,         ///< excludes padding from the mean
  global_average_pool,  ///< CxHxW -> Cx1x1
  local_response_norm,  ///< y_c = x_c / n_c^(3/4): see ResponseNorm
  add,                  ///< sum of two inputs of equal shape
  shortcut_pad,  ///< option A of He et al. 2015: every stride-th pixel, missing channels appended as zeros
  flatten,       ///< CxHxW -> (C*H*W), channel slowest
  embedding,     ///< T tokens -> CxTx1: the row of the weights that each token names
  lstm,          ///< 4HxTx1 -> HxTx1: the recurrent half of an LSTM, see model/lstm.cpp
  dropout,       ///< in training each value is 0 with probability `rate`, else divided by 1 - rate
};

const char* op_name(Op op);  ///< "convolution", "batch norm", ...

/// How a weight tensor is drawn before training, from RandomStream(seed, initial_weights, tensor index); the
/// bias behind it from that of the same index and b = 1.
enum class Init {
  he_normal_fan_out,  ///< N(0, sqrt(2 / fan_out))
  uniform_fan_in,     ///< U(+-1 / sqrt(fan_in)), PyTorch's default
  truncated_normal,   ///< N(0, deviation), drawn anew until it is within two deviations
  uniform,            ///< U(+-deviation)
  glorot_uniform,     ///< U(+-deviation sqrt(6 / (fan_in + fan_out)))
};

/// n_c = bias + alpha * sum of x_j^2 over the channels |j - c| <= radius of the same pixel: TensorFlow's
/// convention, which does not divide alpha by the size of the window.
struct ResponseNorm {
  int radius = 4;
  double bias = 1;
  double alpha = 1e-4;
  bool operator==(const ResponseNorm&) const = default;
};

/// One node. `inputs` index earlier layers. Unused fields keep their defaults.
struct Layer {
  std::string name;  ///< unique; prefix of its parameters: layer "conv1" has "conv1.weight"
  Op op = Op::input;
  std::vector<int> inputs;
  int channels = 0;  ///< convolution, linear, embedding, lstm, shortcut_pad: output channels (features)
  int kernel = 1;    ///< convolution and pooling, square
  int stride = 1;
  int padding = 0;                      ///< rows and columns added on all four sides
  int end_padding = 0;                  ///< as many more below and to the right
  bool bias = false;                    ///< convolution, linear, lstm
  bool affine = true;                   ///< batch_norm: learned gamma and beta
  ResponseNorm response_norm = {};      ///< local_response_norm
  Init init = Init::he_normal_fan_out;  ///< of the weights
  double deviation = 0;                 ///< of Init::truncated_normal, uniform and glorot_uniform
  double initial_bias = 0;              ///< lstm: of the forget gates; the others' is 0
  double bias_deviation = 0;            ///< biases are initial_bias + N(0, bias_deviation)
  double rate = 0;                      ///< dropout
  bool operator==(const Layer&) const = default;
};

/// A network as data: layers in topological order, layer 0 the input, the last layer the logits.
struct Graph {
  std::string name;
  Shape input;  ///< C, H, W of one image, or T of one sequence of tokens
  int classes = 0;
  int targets = 1;                   ///< labels of one sample: 1, or T of a sequence, one after each token
  double batch_norm_momentum = 0.1;  ///< running = (1 - momentum) running + momentum batch
  double batch_norm_epsilon = 1e-5;
  std::vector<Layer> layers;
  bool operator==(const Graph&) const = default;
};

/// Shape of each layer's output for one sample (C, H, W or F; of a sequence C, T, 1). An Error (usage) names
/// a layer whose input does not fit (kernel larger than the padded image, shapes of an add that differ,
/// linear on an unflattened input).
std::vector<Shape> infer_shapes(const Graph& graph);

/// One learned tensor of a graph, in layer order: weight, bias, gamma, beta.
struct Parameter {
  enum class Kind { weight, bias, gamma, beta };
  std::string name;  ///< "conv1.weight"
  int layer = 0;
  Kind kind = Kind::weight;
  Shape shape;  ///< OIHW, OI, [tokens][features] of an embedding, [4H][H] of an lstm, or C
};
std::vector<Parameter> parameters(const Graph& graph);
/// Multiply-accumulates of layers with weights for one sample, per layer (0 for others and embeddings).
std::vector<std::int64_t> multiply_accumulates(const Graph& graph);

/// The `model:` section: name and that model's own keys, and `init` (safetensors to start from).
struct ModelSpec {
  std::string name = "resnet20";
  std::string init;
  /// Reads the keys and builds the graph for images of `input` (C, H, W) and `classes`, or sequences of
  /// tokens (T) of a vocabulary of `classes`. Of an input that the model does not fit, which is a mistake, it
  /// is the graph for a usual one.
  Graph read(spec::Reader keys, const Shape& input, int classes);
};

enum class Input { images, text };

struct Entry {
  const char* name;
  Input takes;
  Graph (*read)(spec::Reader& keys, const Shape& input, int classes);
};
std::span<const Entry> registry();

}  // namespace qtrain::model
