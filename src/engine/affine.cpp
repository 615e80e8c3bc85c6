#include "engine/affine.hpp"

#include <algorithm>
#include <cmath>

namespace qtrain::engine {

double tree_sum(double* values, int count) {
  for (; count > 1; count = (count + 1) / 2) {
    for (int k = 0; k + 1 < count; k += 2) values[k / 2] = values[k] + values[k + 1];
    if (count % 2 == 1) values[count / 2] = values[count - 1];
  }
  return count == 1 ? values[0] : 0.0;
}

Affine::Affine(const Source& source, int shards)
    : source_(source), padded_((source.channels + 63) / 64 * 64) {
  for (auto* v : {&a_, &b_, &p_, &q_, &r_, &shift_, &mean_}) v->assign(padded_, 0.0f);
  partial_.assign(static_cast<std::size_t>(shards) * 2 * padded_, 0.0);
  tree_.assign(static_cast<std::size_t>(shards), 0.0);
  exact_mean_.assign(padded_, 0.0);
  inverse_deviation_.assign(padded_, 0.0);
}

double Affine::scale(std::size_t channel) const {
  const double weight = source_.weight_scales != nullptr ? source_.weight_scales[channel] : 1.0;
  return weight * (source_.activation != nullptr ? source_.activation->scale() : 1.0);
}

void Affine::prepare() {
  for (std::size_t c = 0; c < source_.channels; ++c) {
    const double s = scale(c), bias = source_.bias != nullptr ? source_.bias[c] : 0.0;
    if (!source_.batch_norm) {
      a_[c] = static_cast<float>(s);
      b_[c] = static_cast<float>(bias);
      p_[c] = 1.0f;
      continue;
    }
    // Any shift is right; one near the mean keeps the sums of squares accurate.
    const auto shift = static_cast<float>((source_.running_mean[c] - bias) / s);
    shift_[c] = std::isfinite(shift) ? shift : 0.0f;
  }
}

void Affine::prepare_evaluation() {
  prepare();
  if (!source_.batch_norm) return;
  for (std::size_t c = 0; c < source_.channels; ++c) {
    const double bias = source_.bias != nullptr ? source_.bias[c] : 0.0;
    const double gamma = source_.gamma != nullptr ? source_.gamma[c] : 1.0;
    const double beta = source_.beta != nullptr ? source_.beta[c] : 0.0;
    const double slope = gamma / std::sqrt(source_.running_variance[c] + source_.epsilon);
    a_[c] = static_cast<float>(slope * scale(c));
    b_[c] = static_cast<float>(slope * (bias - source_.running_mean[c]) + beta);
  }
}

double Affine::tree(int shards, std::size_t offset) {
  for (int s = 0; s < shards; ++s)
    tree_[static_cast<std::size_t>(s)] = partial_[static_cast<std::size_t>(s) * 2 * padded_ + offset];
  return tree_sum(tree_.data(), shards);
}

void Affine::combine_forward(int shards, std::size_t count) {
  const auto n = static_cast<double>(count);
  for (std::size_t c = 0; c < source_.channels; ++c) {
    const double sum = tree(shards, c), squares = tree(shards, padded_ + c);
    const double shifted_mean = sum / n;
    const double variance_z = std::max(0.0, squares / n - shifted_mean * shifted_mean);
    const double s = scale(c), bias = source_.bias != nullptr ? source_.bias[c] : 0.0;
    const double mean_z = shift_[c] + shifted_mean, variance = s * s * variance_z;
    const double inverse = 1.0 / std::sqrt(variance + source_.epsilon);
    const double gamma = source_.gamma != nullptr ? source_.gamma[c] : 1.0;
    const double beta = source_.beta != nullptr ? source_.beta[c] : 0.0;
    exact_mean_[c] = mean_z;
    inverse_deviation_[c] = inverse;
    mean_[c] = static_cast<float>(mean_z);
    a_[c] = static_cast<float>(gamma * s * inverse);
    b_[c] = static_cast<float>(beta - gamma * s * inverse * mean_z);
    const double unbiased = count > 1 ? variance * n / (n - 1) : variance;
    const auto blend = [&](float& running, double batch) {
      running = static_cast<float>((1.0 - source_.momentum) * running + source_.momentum * batch);
    };
    blend(source_.running_mean[c], s * mean_z + bias);
    blend(source_.running_variance[c], unbiased);
  }
}

// With xh = (s z - s mean) inv: dL/d(s z) = gamma inv (g - mean(g) - xh mean(g xh)), and g xh sums to
// s inv (sum g (z - m) + (m - mean) sum g), m being the float the shards used for the mean.
void Affine::combine_backward(int shards, std::size_t count) {
  const auto n = static_cast<double>(count);
  for (std::size_t c = 0; c < source_.channels; ++c) {
    const double sum = tree(shards, c);
    if (!source_.batch_norm) {
      source_.bias_gradient[c] = static_cast<float>(sum);
      continue;
    }
    const double products =
        tree(shards, padded_ + c) + (static_cast<double>(mean_[c]) - exact_mean_[c]) * sum;
    const double s = scale(c), inverse = inverse_deviation_[c];
    const double sum_g_xh = s * inverse * products;
    const double gamma = source_.gamma != nullptr ? source_.gamma[c] : 1.0;
    if (source_.gamma_gradient != nullptr) source_.gamma_gradient[c] = static_cast<float>(sum_g_xh);
    if (source_.beta_gradient != nullptr) source_.beta_gradient[c] = static_cast<float>(sum);
    // A bias before batch norm is subtracted again with the mean: its gradient is exactly zero.
    if (source_.bias_gradient != nullptr) source_.bias_gradient[c] = 0.0f;
    const double slope = gamma * inverse, curve = s * inverse * sum_g_xh / n;
    p_[c] = static_cast<float>(slope);
    q_[c] = static_cast<float>(-slope * curve);
    r_[c] = static_cast<float>(-slope * (sum / n - curve * exact_mean_[c]));
  }
}

}  // namespace qtrain::engine
