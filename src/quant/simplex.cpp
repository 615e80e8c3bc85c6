#include "quant/simplex.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace qtrain::quant {
namespace {

double largest(const LevelValues& t, std::size_t count) {
  const double of_two = std::max(t[0], t[1]);
  return count == 3 ? std::max(of_two, t[2]) : of_two;
}

LevelValues softmax(const LevelValues& t, std::size_t count, double beta) {
  const double top = largest(t, count);
  LevelValues u{};
  double sum = 0;
  for (std::size_t l = 0; l < count; ++l) {
    u[l] = t[l] == top ? 1 : std::exp(beta * (t[l] - top));
    sum += u[l];
  }
  for (std::size_t l = 0; l < count; ++l) u[l] /= sum;
  return u;
}

// Martins, Astudillo, ICML 2016 (arXiv:1602.02068), Algorithm 1: with x sorted downwards, the support is the
// largest n with 1 + n x_n > x_1 + ... + x_n, and tau = (x_1 + ... + x_n - 1) / n. Shifted so that x_1 = 0.
LevelValues sparsemax(const LevelValues& t, std::size_t count, double beta) {
  const double top = largest(t, count);
  LevelValues x{};
  for (std::size_t l = 0; l < count; ++l) x[l] = beta * (t[l] - top);
  LevelValues sorted = x;
  const auto order = [&](std::size_t l, std::size_t m) {
    if (sorted[l] < sorted[m]) std::swap(sorted[l], sorted[m]);
  };
  order(0, 1);
  if (count == 3) {
    order(1, 2);
    order(0, 1);
  }
  double sum = 0;
  double tau = 0;
  for (std::size_t l = 0; l < count; ++l) {
    const auto n = static_cast<double>(l + 1);
    sum += sorted[l];
    if (1 + n * sorted[l] > sum) tau = (sum - 1) / n;
  }
  LevelValues u{};
  for (std::size_t l = 0; l < count; ++l) u[l] = std::max(x[l] - tau, 0.0);
  return u;
}

LevelValues argmax(const LevelValues& t, std::size_t count) {
  std::size_t best = 1;  // level 0 of three, +1 of two
  if (count == 3 && t[2] > t[best]) best = 2;
  if (t[0] > t[best]) best = 0;
  LevelValues u{};
  u[best] = 1;
  return u;
}

}  // namespace

LevelValues project(Projection projection, const LevelValues& t, std::size_t count, double beta) {
  switch (projection) {
    case Projection::softmax:
      return softmax(t, count, beta);
    case Projection::sparsemax:
      return sparsemax(t, count, beta);
    case Projection::argmax:
      break;
  }
  return argmax(t, count);
}

SimplexMethod::SimplexMethod(UnitLevels levels, const Annealing& annealing, Projection projection)
    : levels_(levels),
      annealing_(annealing),
      projection_(projection),
      count_(levels == UnitLevels::binary ? 2 : 3),
      q_(levels == UnitLevels::binary ? LevelValues{-1, 1} : LevelValues{-1, 0, 1}) {}

void SimplexMethod::initialize(std::span<const float> w, std::span<float> t) {
  for (std::size_t i = 0; i < w.size(); ++i)
    for (std::size_t l = 0; l < count_; ++l) {
      const auto q = static_cast<float>(q_[l]);
      t[i * count_ + l] = q * w[i] - (count_ == 3 ? q * q / 2 : 0.0F);
    }
}

void SimplexMethod::carried(std::span<const float> t, const WeightContext& /*context*/,
                            std::span<float> w) const {
  for (std::size_t i = 0; i < w.size(); ++i) {
    const float* first = t.data() + i * count_;
    w[i] = (first[count_ - 1] - first[0]) / 2;
  }
}

void SimplexMethod::used(std::span<const float> t, const WeightContext& context, std::span<float> w) {
  fill(projection_, t, annealing_.beta(context.step), w);
}

void SimplexMethod::pulled(std::span<const float> /*t*/, std::span<const float> /*w*/,
                           std::span<const float> gw, const WeightContext& /*context*/, std::span<float> gt) {
  for (std::size_t i = 0; i < gw.size(); ++i)
    for (std::size_t l = 0; l < count_; ++l) gt[i * count_ + l] = static_cast<float>(q_[l]) * gw[i];
}

void SimplexMethod::final(std::span<const float> t, const WeightContext& /*context*/, std::span<float> w) {
  fill(Projection::argmax, t, 1, w);
}

void SimplexMethod::fill(Projection projection, std::span<const float> t, double beta,
                         std::span<float> w) const {
  for (std::size_t i = 0; i < w.size(); ++i)
    w[i] = static_cast<float>(mean(project(projection, latents(t, i), count_, beta)));
}

}  // namespace qtrain::quant
