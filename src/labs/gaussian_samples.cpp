#include "labs/gaussian_samples.hpp"

#include <algorithm>

namespace qtrain::labs {

GaussianSamples::GaussianSamples(std::size_t count, const TwoLayer& teacher)
    : count_(count),
      teacher_(teacher),
      z_(count * teacher.v.size() * teacher.w.size()),
      h_(count * teacher.v.size()),
      labels_(count),
      residuals_(count),
      factors_(h_.size()) {}

void GaussianSamples::draw(RandomStream random) {
  for (float& z : z_) z = random.normal();
  std::ranges::fill(labels_, 0.0);
  labels_ = residuals(teacher_);
}

const std::vector<double>& GaussianSamples::residuals(const TwoLayer& net) {
  const std::size_t patches = net.v.size();
  const float* z = z_.data();
  for (float& h : h_) {
    double sum = 0;
    for (const double w : net.w) sum += w * static_cast<double>(*z++);
    h = static_cast<float>(sum);
  }
  for (std::size_t s = 0; s < count_; ++s) {
    double y = 0;
    for (std::size_t i = 0; i < patches; ++i) y += h_[s * patches + i] > 0 ? net.v[i] : 0;
    residuals_[s] = y - labels_[s];
  }
  return residuals_;
}

double GaussianSamples::loss(const TwoLayer& net) {
  double sum = 0;
  for (const double r : residuals(net)) sum += r * r / 2;
  return sum / static_cast<double>(count_);
}

GaussianSamples::Means GaussianSamples::coarse_gradient(const TwoLayer& net, const quant::Ste& ste) {
  Means means{.loss = loss(net), .v = Vector(net.v.size()), .w = Vector(net.w.size())};
  std::ranges::fill(factors_, 1.0F);
  ste.multiply(h_, {.low = 0, .high = 1, .slope = 1}, factors_);
  const std::size_t patches = net.v.size();
  const std::size_t inputs = net.w.size();
  for (std::size_t k = 0; k < h_.size(); ++k) {
    const double residual = residuals_[k / patches];
    if (h_[k] > 0) means.v[k % patches] += residual;
    const double factor = static_cast<double>(factors_[k]) * net.v[k % patches] * residual;
    for (std::size_t j = 0; j < inputs; ++j) means.w[j] += factor * static_cast<double>(z_[k * inputs + j]);
  }
  for (Vector* sums : {&means.v, &means.w})
    for (double& sum : *sums) sum /= static_cast<double>(count_);
  return means;
}

}  // namespace qtrain::labs
