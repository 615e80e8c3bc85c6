#pragma once
#include <string>
#include <utility>
#include <vector>

#include "model/graph.hpp"

namespace qtrain::model {

/// A square convolution; 3x3 with its input's size unless said otherwise.
struct Convolution {
  int channels = 0;
  int kernel = 3;
  int stride = 1;
  int padding = 1;
  bool bias = false;
};

/// A square pooling window.
struct Pool {
  int size = 2;
  int stride = 2;
  int padding = 0;
  int end_padding = 0;  ///< see Layer
};

/// Grows a Graph layer by layer. Each function appends one layer that reads layer `src` and returns the new
/// layer's index; layer kInput is the batch of images.
class Builder {
 public:
  static constexpr int kInput = 0;

  Builder(std::string name, const Shape& input, int classes);

  /// Weights N(0, sqrt(2 / (k k out))).
  int convolution(const std::string& name, int src, const Convolution& convolution);
  /// With bias; weights U(+-1/sqrt(in)).
  int linear(const std::string& name, int src, int features);
  int batch_norm(const std::string& name, int src, bool affine);
  int activation(const std::string& name, int src);
  /// Windows that neither overlap nor leave gaps.
  int max_pool(const std::string& name, int src, int size);
  int max_pool(const std::string& name, int src, const Pool& pool);
  int global_average_pool(const std::string& name, int src);
  int local_response_norm(const std::string& name, int src, const ResponseNorm& norm);
  int flatten(const std::string& name, int src);
  int add(const std::string& name, int left, int right);
  int shortcut_pad(const std::string& name, int src, int channels, int stride);

  /// A row of `features` a token, without bias.
  int embedding(const std::string& name, int src, int features);
  /// The recurrent half, of a fourth of src's channels; its biases start at 0, the forget gates' at
  /// `forget_bias`.
  int lstm(const std::string& name, int src, int features, double forget_bias);
  int dropout(const std::string& name, int src, double rate);

  /// Makes the layer's weights start from U(+-bound). Returns the layer.
  int start_uniform(int layer, double bound);
  /// Makes the layer start from a truncated normal and from biases all equal, in place of its usual start.
  /// Returns the layer.
  int start(int layer, double deviation, double bias);

  /// The finished graph; the last layer appended gives the logits.
  Graph take() { return std::move(graph_); }

 private:
  Layer& append(const std::string& name, Op op, std::vector<int> inputs);
  int last() const;

  Graph graph_;
};

}  // namespace qtrain::model
