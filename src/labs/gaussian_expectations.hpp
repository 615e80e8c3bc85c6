#pragma once
#include <optional>
#include <string_view>
#include <vector>

namespace qtrain::labs {

// The closed forms behind two_layer_gaussian: Yin, Lyu, Zhang, Osher, Qi, Xin, "Understanding
// Straight-Through Estimator in Training Activation Quantized Neural Nets", ICLR 2019 (arXiv:1903.05662).
// Shapes: v has m entries, w has n; Z is m x n with independent N(0, 1) entries; E is the mean over Z.

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b);
double norm(const Vector& a);
/// a + factor * b
Vector plus(const Vector& a, double factor, const Vector& b);

/// Weights of the network v^T sigma(Z w). Of a teacher, w has norm 1.
struct TwoLayer {
  Vector v;
  Vector w;
};

/// Where w points, seen from w*: wh = w / |w|, theta their angle, e = the unit vector orthogonal to wh with
/// e.w* = sin(theta) (zero where theta is 0 or pi). w must not be zero.
struct Direction {
  double norm;
  double cosine, sine, theta;
  Vector wh, e;
};
Direction direction(const Vector& w, const Vector& w_star);

/// f = E (v^T sigma(Z w) - v*^T sigma(Z w*))^2 / 2; w = 0 is allowed.
double population_loss(const TwoLayer& net, const TwoLayer& teacher);
/// df/dv = E dl/dv, no estimator needed.
Vector v_gradient(const TwoLayer& net, const TwoLayer& teacher);
/// df/dw for theta in (0, pi); zero at both ends, where f has a ridge or a kink.
Vector w_gradient(const TwoLayer& net, const TwoLayer& teacher);

/// E of the coarse gradient in w. w must not be zero.
using ExpectedGradient = Vector (*)(const TwoLayer& net, const TwoLayer& teacher);
/// For the STEs identity, relu and clipped_relu; null for others.
ExpectedGradient expected_coarse_gradient(std::string_view ste);

/// The integrals of the clipped ReLU with c = 1 / |w|.
struct ClippedMoments {
  double p0, p, q;
};
ClippedMoments clipped_moments(double cosine, double sine, double c);

/// The critical points with |w| = 1; saddle and spurious minimum exist iff (1^T v*)^2 < (m + 1) / 2 |v*|^2.
/// Of the orthogonal directions the saddle's w leans to the axis nearest to orthogonal to w* (the first of
/// equals).
std::optional<TwoLayer> saddle(const TwoLayer& teacher);
std::optional<TwoLayer> spurious_minimum(const TwoLayer& teacher);

}  // namespace qtrain::labs
