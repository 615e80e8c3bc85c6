#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "quant/activation.hpp"

namespace qtrain::labs {

/// The network and data of subspace_classifier, but for the angle.
struct SubspaceSetting {
  int bits = 4;
  int width = 24;               ///< hidden units; even
  double noise = 0;             ///< standard deviation on each coordinate of a point
  double init_deviation = 0.1;  ///< standard deviation of initial weights
};

/// A network with one quantized hidden layer on the points of two subspaces of R^4 (subspace_classifier.cpp).
class SubspaceNet {
 public:
  SubspaceNet(const SubspaceSetting& setting, double degrees, std::unique_ptr<quant::Ste> ste,
              std::uint64_t seed);

  struct Outcome {
    double loss;
    double accuracy;
  };
  /// Runs every point; what `step` needs is kept.
  Outcome forward();
  /// One step of coarse gradient descent after forward().
  void step(double rate);
  /// Frobenius norm of the hidden layer's weights.
  double norm() const;

 private:
  static constexpr std::size_t kDimensions = 4;
  static constexpr std::size_t kRadii = 11;
  static constexpr std::size_t kTurns = 80;
  static constexpr std::size_t kClass = kRadii * kTurns;
  static constexpr std::size_t kPoints = 2 * kClass;  ///< those of class 1, then those of class 2
  using Unit = std::array<double, kDimensions>;
  using PerPoint = std::array<float, kPoints>;

  void place_points(double degrees, double noise, std::uint64_t seed);
  void project(const Unit& w, float* __restrict h) const;
  bool serves_first(std::size_t unit) const { return 2 * unit < w_.size(); }

  float top_;  ///< q
  std::unique_ptr<quant::Ste> ste_;
  std::vector<Unit> w_;
  std::array<PerPoint, kDimensions> x_;  ///< one array a coordinate
  std::vector<PerPoint> h_;              ///< one a unit
  std::vector<std::size_t> active_;      ///< points whose loss is not 0
  std::vector<float> active_h_, factors_;
};

}  // namespace qtrain::labs
