#pragma once
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "engine/parameters.hpp"

namespace qtrain::engine {

/// An activation layer: its quantizer and STE, or ReLU when both are empty.
struct ActivationUnit {
  int layer = 0;
  std::unique_ptr<quant::ActivationQuantizer> quantizer;
  std::unique_ptr<quant::Ste> ste;
  std::span<float> learned_gradients;
  std::vector<std::vector<double>> partial;  ///< [shard][learned]
  /// While not null, every x that the layer sees goes in here.
  struct Observed {
    double positive = 0;  ///< sum of max(x, 0)
    float largest = -std::numeric_limits<float>::infinity();
    std::size_t count = 0;
  };
  Observed* observed = nullptr;

  float scale() const { return quantizer ? quantizer->scale() : 1.0f; }
};

/// The per-channel map from a tensor z as it lies in memory (codes, raw sums of a convolution) to the real
/// value an elementwise pass works on, and its backward half:
///
///   x = s_o z + bias_o                              s = weight scale * activation scale of the producer
///   y = gamma (x - mean) / sqrt(var + eps) + beta   if batch norm follows; folded with the line above into
///   y = a z + b
///
///   dL/d(s z) = P g + Q z + R                       g = dL/dy; P = 1 on no batch norm
///
/// Sums over the batch arrive as one partial a shard (in units of z, shifted by `shift`) and are added in a
/// fixed tree.
class Affine {
 public:
  /// What the constructor copies; pointers stay valid for the engine's life.
  struct Source {
    std::size_t channels = 0;
    const float* weight_scales = nullptr;        ///< [channels]; null: 1
    const ActivationUnit* activation = nullptr;  ///< whose codes z is made of; null: scale 1
    const float* bias = nullptr;                 ///< [channels]; null: 0
    float* bias_gradient = nullptr;
    bool batch_norm = false;
    const float *gamma = nullptr, *beta = nullptr;  ///< null: 1 and 0
    float *gamma_gradient = nullptr, *beta_gradient = nullptr;
    float *running_mean = nullptr, *running_variance = nullptr;
    double momentum = 0.1, epsilon = 1e-5;
  };
  Affine(const Source& source, int shards);

  bool batch_norm() const { return source_.batch_norm; }
  /// Whether anything wants sums of g: batch norm or a bias.
  bool wants_gradient_sums() const { return source_.batch_norm || source_.bias_gradient != nullptr; }
  std::size_t channels() const { return source_.channels; }

  // Per channel, zero past the last one up to a multiple of 64.
  const float* a() const { return a_.data(); }
  const float* b() const { return b_.data(); }
  const float* p() const { return p_.data(); }
  const float* q() const { return q_.data(); }
  const float* r() const { return r_.data(); }
  const float* shift() const { return shift_.data(); }
  const float* mean() const { return mean_.data(); }  ///< of z over the batch, rounded to float
  double* partial_sum(int shard) { return &partial_[static_cast<std::size_t>(shard) * 2 * padded_]; }
  double* partial_square(int shard) { return partial_sum(shard) + padded_; }

  void prepare();             ///< before a training batch: shift; a, b without batch norm
  void prepare_evaluation();  ///< a, b from running statistics
  /// a, b from the shards' moments over `count` values a channel; updates the running statistics.
  void combine_forward(int shards, std::size_t count);
  /// p, q, r and the gradients of gamma, beta, bias from the shards' sums of g and g (z - mean).
  void combine_backward(int shards, std::size_t count);

 private:
  double scale(std::size_t channel) const;
  double tree(int shards, std::size_t offset);

  Source source_;
  std::size_t padded_;
  std::vector<float> a_, b_, p_, q_, r_, shift_, mean_;
  std::vector<double> partial_;  ///< [shard][2][padded]
  std::vector<double> tree_;
  std::vector<double> exact_mean_, inverse_deviation_;  ///< of z, of x
};

/// Pairwise sum of values[0..count) in place: neighbours first, an odd one out carried on.
double tree_sum(double* values, int count);

}  // namespace qtrain::engine
