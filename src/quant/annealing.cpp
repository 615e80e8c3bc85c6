#include "quant/annealing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace qtrain::quant {
namespace {

void multiply(std::span<float> u, double ratio) {
  if (ratio == 1) return;
  for (float& value : u) value = finite_float(ratio * static_cast<double>(value));
}

}  // namespace

void Annealing::read(spec::Reader& keys) {
  keys.field("beta_growth", growth, spec::at_least(1), "rho, the factor by which beta grows");
  keys.field("beta_interval", interval, spec::at_least(1), "I, steps from one growth of beta to the next");
  keys.field("beta_start", start, spec::positive, "beta at step 0");
  keys.field("beta_limit", limit, {.low = 0, .high = 1e35, .low_open = true}, "beta grows no further");
  if (start > limit)
    keys.mistake("beta_start", fmt::format("is {}, must be at most beta_limit, {}", start, limit));
}

double Annealing::beta(std::int64_t step) const {
  const auto growths = static_cast<double>((step + interval - 1) / interval);
  return std::min(start * std::pow(growth, growths), limit);
}

void Annealing::keep_projection(std::span<float> u, std::int64_t step) const {
  multiply(u, beta(step) / beta(step + 1));
}

void Annealing::restart(std::span<float> u, std::int64_t step) const { multiply(u, beta(step) / beta(0)); }

}  // namespace qtrain::quant
