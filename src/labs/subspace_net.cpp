#include "labs/subspace_net.hpp"

#include <cmath>
#include <numbers>

#include "base/random.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::labs {

SubspaceNet::SubspaceNet(const SubspaceSetting& setting, double degrees, std::unique_ptr<quant::Ste> ste,
                         std::uint64_t seed)
    : top_(static_cast<float>((1 << setting.bits) - 1)),
      ste_(std::move(ste)),
      w_(static_cast<std::size_t>(setting.width)),
      h_(w_.size()),
      active_h_(kPoints),
      factors_(kPoints) {
  active_.reserve(kPoints);
  place_points(degrees, setting.noise, seed);
  RandomStream random(seed, Purpose::initial_weights);
  for (Unit& unit : w_)
    for (double& value : unit) value = setting.init_deviation * static_cast<double>(random.normal());
}

void SubspaceNet::place_points(double degrees, double noise, std::uint64_t seed) {
  const double t = degrees * std::numbers::pi / 180;
  const Unit planes[2][2] = {{{1, 0, 0, 0}, {0, std::sin(t), std::cos(t), 0}}, {{0, 0, 1, 0}, {0, 0, 0, 1}}};
  RandomStream random(seed, Purpose::generated_data);
  for (std::size_t p = 0; p < kPoints; ++p) {
    const auto& plane = planes[p / kClass];
    const double radius = 1 + 0.1 * static_cast<double>(p % kClass / kTurns);
    const double turn = static_cast<double>(p % kTurns + 1) / kTurns * 2 * std::numbers::pi;
    for (std::size_t c = 0; c < kDimensions; ++c) {
      const double exact = radius * (std::cos(turn) * plane[0][c] + std::sin(turn) * plane[1][c]);
      x_[c][p] = static_cast<float>(exact + noise * static_cast<double>(random.normal()));
    }
  }
}

/// h = <w, x> of every point.
void SubspaceNet::project(const Unit& w, float* __restrict h) const {
  const auto w0 = static_cast<float>(w[0]), w1 = static_cast<float>(w[1]);
  const auto w2 = static_cast<float>(w[2]), w3 = static_cast<float>(w[3]);
  const float* __restrict x0 = x_[0].data();
  const float* __restrict x1 = x_[1].data();
  const float* __restrict x2 = x_[2].data();
  const float* __restrict x3 = x_[3].data();
  for (std::size_t p = 0; p < kPoints; ++p) h[p] = (w0 * x0[p] + w1 * x1[p]) + (w2 * x2[p] + w3 * x3[p]);
}

SubspaceNet::Outcome SubspaceNet::forward() {
  PerPoint codes, margin{};  // margin: o_1 - o_2
  for (std::size_t j = 0; j < w_.size(); ++j) {
    project(w_[j], h_[j].data());
    kernels::active().ceil_codes(h_[j].data(), 1, top_, codes.data(), kPoints);
    const float v = serves_first(j) ? 0.5F : -0.5F;
    for (std::size_t p = 0; p < kPoints; ++p) margin[p] += v * codes[p];
  }
  active_.clear();
  double loss = 0;
  std::size_t right = 0;
  for (std::size_t p = 0; p < kPoints; ++p) {
    const bool first = p < kClass;
    const float ahead = first ? margin[p] : -margin[p];
    right += first ? ahead >= 0 : ahead > 0;
    if (ahead >= 1) continue;
    active_.push_back(p);
    loss += 1 - static_cast<double>(ahead);
  }
  return {.loss = loss / kPoints, .accuracy = static_cast<double>(right) / kPoints};
}

void SubspaceNet::step(double rate) {
  const std::span<float> h = std::span(active_h_).first(active_.size());
  const std::span<float> factors = std::span(factors_).first(active_.size());
  for (std::size_t j = 0; j < w_.size(); ++j) {
    for (std::size_t i = 0; i < active_.size(); ++i) {
      const bool own = (active_[i] < kClass) == serves_first(j);
      h[i] = h_[j][active_[i]];
      factors[i] = own ? 0.5F : -0.5F;  // v_yj - v_other,j
    }
    ste_->multiply(h, {.low = 0, .high = top_, .slope = 1}, factors);
    Unit sums{};
    for (std::size_t i = 0; i < active_.size(); ++i)
      for (std::size_t c = 0; c < kDimensions; ++c)
        sums[c] += static_cast<double>(factors[i]) * static_cast<double>(x_[c][active_[i]]);
    for (std::size_t c = 0; c < kDimensions; ++c) w_[j][c] += rate * sums[c] / kPoints;
  }
}

double SubspaceNet::norm() const {
  double squares = 0;
  for (const Unit& unit : w_)
    for (const double value : unit) squares += value * value;
  return std::sqrt(squares);
}

}  // namespace qtrain::labs
