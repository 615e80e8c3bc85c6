#include "labs/gaussian_expectations.hpp"

#include <cmath>
#include <numbers>
#include <numeric>

namespace qtrain::labs {
namespace {

using std::numbers::pi;
const double kDensity0 = 1 / std::sqrt(2 * pi);  // phi(0)

double density(double x) { return kDensity0 * std::exp(-x * x / 2); }
double distribution(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }

double sum(const Vector& a) { return std::accumulate(a.begin(), a.end(), 0.0); }

Vector times(double factor, const Vector& a) { return plus(Vector(a.size()), factor, a); }

/// a^T (k I + J) b with J = 1 1^T
double form(const Vector& a, double k, const Vector& b) { return k * dot(a, b) + sum(a) * sum(b); }

/// h(v, v*) = |v|^2 + (1^T v)^2 - (1^T v)(1^T v*) + v^T v*
double h(const Vector& v, const Vector& v_star) {
  return dot(v, v) + sum(v) * (sum(v) - sum(v_star)) + dot(v, v_star);
}

//   identity   ( |v|^2 wh - (v^T v*) w* ) / sqrt(2 pi)
Vector expected_identity(const TwoLayer& net, const TwoLayer& teacher) {
  const Direction at = direction(net.w, teacher.w);
  const Vector along = times(kDensity0 * dot(net.v, net.v), at.wh);
  return plus(along, -kDensity0 * dot(net.v, teacher.v), teacher.w);
}

//   ReLU       h / (2 sqrt(2 pi)) wh - cos(theta / 2) (v^T v*) / sqrt(2 pi) u, u = (wh + w*) / |wh + w*|
// where |wh + w*| = 2 cos(theta / 2), so that theta = pi needs no exception.
Vector expected_relu(const TwoLayer& net, const TwoLayer& teacher) {
  const Direction at = direction(net.w, teacher.w);
  const double pull = kDensity0 / 2 * dot(net.v, teacher.v);
  const Vector along = times(kDensity0 / 2 * h(net.v, teacher.v) - pull, at.wh);
  return plus(along, -pull, teacher.w);
}

//   clipped    (p0 / 2) h wh - (v^T v*)(p wh + q e)
Vector expected_clipped_relu(const TwoLayer& net, const TwoLayer& teacher) {
  const Direction at = direction(net.w, teacher.w);
  const ClippedMoments moments = clipped_moments(at.cosine, at.sine, 1 / at.norm);
  const double overlap = dot(net.v, teacher.v);
  const Vector along = times(moments.p0 / 2 * h(net.v, teacher.v) - overlap * moments.p, at.wh);
  return plus(along, -overlap * moments.q, at.e);
}

/// The unit vector orthogonal to w* nearest to the axis that is nearest to orthogonal to it.
Vector orthogonal(const Vector& w_star) {
  std::size_t axis = 0;
  for (std::size_t i = 1; i < w_star.size(); ++i)
    if (std::abs(w_star[i]) < std::abs(w_star[axis])) axis = i;
  Vector result = times(-w_star[axis], w_star);
  result[axis] += 1;
  return times(1 / norm(result), result);
}

bool has_spurious_minimum(const Vector& v_star) {
  const auto m = static_cast<double>(v_star.size());
  return sum(v_star) * sum(v_star) < (m + 1) / 2 * dot(v_star, v_star);
}

}  // namespace

double dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double norm(const Vector& a) { return std::sqrt(dot(a, a)); }

Vector plus(const Vector& a, double factor, const Vector& b) {
  Vector result = a;
  for (std::size_t i = 0; i < a.size(); ++i) result[i] += factor * b[i];
  return result;
}

// atan2 of the parts of w across and along w*: an arccosine would lose half the digits near 0 and pi.
Direction direction(const Vector& w, const Vector& w_star) {
  const double along = dot(w, w_star);
  const Vector across = plus(w, -along, w_star);
  const double across_norm = norm(across);
  Direction at{.norm = norm(w), .cosine = 0, .sine = 0, .theta = 0, .wh = {}, .e = Vector(w.size())};
  at.cosine = along / at.norm;
  at.sine = across_norm / at.norm;
  at.theta = std::atan2(across_norm, along);
  at.wh = times(1 / at.norm, w);
  if (across_norm > 0) at.e = plus(times(at.sine, w_star), -at.cosine / across_norm, across);
  return at;
}

//   f = ( v^T (I + J) v - 2 v^T ((1 - 2 theta / pi) I + J) v* + v*^T (I + J) v* ) / 8
double population_loss(const TwoLayer& net, const TwoLayer& teacher) {
  const double own = form(teacher.v, 1, teacher.v);
  if (norm(net.w) == 0) return own / 8;
  const double overlap = 1 - 2 * direction(net.w, teacher.w).theta / pi;
  return (form(net.v, 1, net.v) - 2 * form(net.v, overlap, teacher.v) + own) / 8;
}

//   df/dv = ( (I + J) v - ((1 - 2 theta / pi) I + J) v* ) / 4
Vector v_gradient(const TwoLayer& net, const TwoLayer& teacher) {
  Vector gradient(net.v.size());
  if (norm(net.w) == 0) return gradient;  // sigma(0) = 0
  const double overlap = 1 - 2 * direction(net.w, teacher.w).theta / pi;
  const double common = sum(net.v) - sum(teacher.v);
  for (std::size_t i = 0; i < gradient.size(); ++i)
    gradient[i] = (net.v[i] - overlap * teacher.v[i] + common) / 4;
  return gradient;
}

//   df/dw = -(v^T v*) / (2 pi |w|) e
Vector w_gradient(const TwoLayer& net, const TwoLayer& teacher) {
  if (norm(net.w) == 0) return Vector(net.w.size());
  const Direction at = direction(net.w, teacher.w);
  return times(-dot(net.v, teacher.v) / (2 * pi * at.norm), at.e);
}

ExpectedGradient expected_coarse_gradient(std::string_view ste) {
  if (ste == "identity") return expected_identity;
  if (ste == "relu") return expected_relu;
  if (ste == "clipped_relu") return expected_clipped_relu;
  return nullptr;
}

//   p0 = phi(0) - phi(c)    q = sin(theta) / sqrt(2 pi) (Phi(c / sin(theta)) - 1/2)
//   p = phi(0) / 2 - phi(c) Phi(c cot(theta)) + cot(theta) q
// q / sin(theta) stays finite, so that theta = 0 (p = p0, q = 0) and pi (p = q = 0) need no exception.
ClippedMoments clipped_moments(double cosine, double sine, double c) {
  const double slope = kDensity0 * (distribution(c / sine) - 0.5);
  return {.p0 = kDensity0 - density(c),
          .p = kDensity0 / 2 - density(c) * distribution(c * cosine / sine) + cosine * slope,
          .q = sine * slope};
}

//   theta = pi, v = (2 s / (m + 1)) 1 - v*, s = 1^T v*
std::optional<TwoLayer> spurious_minimum(const TwoLayer& teacher) {
  if (!has_spurious_minimum(teacher.v)) return std::nullopt;
  const double shift = 2 * sum(teacher.v) / static_cast<double>(teacher.v.size() + 1);
  TwoLayer point{.v = Vector(teacher.v.size(), shift), .w = times(-1, teacher.w)};
  point.v = plus(point.v, -1, teacher.v);
  return point;
}

//   b = -s^2 / ((m + 1) |v*|^2 - s^2), theta = pi / 2 (1 - b), v = b v* + s (1 - b) / (m + 1) 1
std::optional<TwoLayer> saddle(const TwoLayer& teacher) {
  if (!has_spurious_minimum(teacher.v)) return std::nullopt;
  const double s = sum(teacher.v);
  const auto width = static_cast<double>(teacher.v.size() + 1);
  const double b = -s * s / (width * dot(teacher.v, teacher.v) - s * s);
  const double theta = pi / 2 * (1 - b);
  const Vector level(teacher.v.size(), s * (1 - b) / width);
  return TwoLayer{.v = plus(level, b, teacher.v),
                  .w = plus(times(std::cos(theta), teacher.w), std::sin(theta), orthogonal(teacher.w))};
}

}  // namespace qtrain::labs
