#pragma once
#include <vector>

#include "base/random.hpp"
#include "labs/gaussian_expectations.hpp"
#include "quant/activation.hpp"

namespace qtrain::labs {

/// N inputs Z, each m x n with N(0, 1) entries, and their labels y* = v*^T sigma(Z w*), sigma(x) = 1 for x >
/// 0 else 0.
class GaussianSamples {
 public:
  GaussianSamples(std::size_t count, const TwoLayer& teacher);
  /// Takes the next N inputs of the stream.
  void draw(RandomStream random);

  /// Mean over the samples of l = (v^T sigma(Z w) - y*)^2 / 2.
  double loss(const TwoLayer& net);

  /// Means over the samples; `w` is the coarse gradient Z^T (mu'(Z w) v) (v^T sigma(Z w) - y*), mu' the
  /// STE's.
  struct Means {
    double loss;
    Vector v, w;
  };
  Means coarse_gradient(const TwoLayer& net, const quant::Ste& ste);

 private:
  /// Fills h_ with Z w; returns the residual v^T sigma(h) - y* of each sample.
  const std::vector<double>& residuals(const TwoLayer& net);

  std::size_t count_;
  const TwoLayer& teacher_;
  std::vector<float> z_;  // N x m x n
  std::vector<float> h_;  // N x m
  std::vector<double> labels_, residuals_;
  std::vector<float> factors_;
};

}  // namespace qtrain::labs
