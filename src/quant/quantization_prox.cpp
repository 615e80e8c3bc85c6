#include "quant/quantization_prox.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "quant/projections.hpp"

namespace qtrain::quant {
namespace {

constexpr int kRefinements = 2;  // after the greedy start, as the authors' code has it

/// Whether u has at most `most` different values, of which there may be 16.
bool has_at_most(std::span<const float> u, std::size_t most) {
  std::array<float, 16> seen{};
  std::size_t count = 0;
  for (const float value : u) {
    if (std::find(seen.begin(), seen.begin() + count, value) != seen.begin() + count) continue;
    if (count == most) return false;
    seen[count++] = value;
  }
  return true;
}

}  // namespace

void ProxOptions::read(spec::Reader& keys) {
  keys.choice("levels", levels, {"binary", "ternary", "multi_bit"}, "the quantized weights");
  if (levels == "multi_bit") bits = 2;
  keys.field("bits", bits, spec::between(1, 4), "bits of multi_bit levels, which have 2 unless given");
  if (levels != "binary") regularizer = "l2";
  keys.choice("regularizer", regularizer, {"l1", "l2"},
              "distance to the levels; l1 of binary ones alone, where it is the default");
  keys.field("rate", rate, spec::non_negative, "regularization rate: lambda = rate t");
  keys.choice("homotopy", homotopy, {"epoch", "step", "constant"}, "what t counts, from 0; constant: t = 1");
  keys.choice("convention", convention, {"once", "twice"}, "kappa's factor on the quantized point, l2 only");
  keys.field("rounds", rounds, spec::between(1, 100), "alternations for ternary and multi_bit levels");
  keys.field("clip", clip, spec::non_negative, "latent kept in [-clip, clip]; 0: not at all");
  check(keys);
}

/// A key without meaning may have its default, as in a resolved spec, but no other value; bits, which would
/// be taken at their word, none.
void ProxOptions::check(spec::Reader& keys) const {
  const ProxOptions usual;
  const bool binary = levels == "binary";
  if (!binary && regularizer == "l1")
    keys.mistake("regularizer", fmt::format("is l1, must be l2 with levels {}", levels));
  if (levels != "multi_bit" && keys.has("bits"))
    keys.mistake("bits", fmt::format("is {}, must be left out with levels {}: multi_bit alone have a choice",
                                     bits, levels));
  if (binary && rounds != usual.rounds)
    keys.mistake("rounds", fmt::format("is {}, must be left out with levels binary: their prox has a closed "
                                       "form",
                                       rounds));
  if (regularizer == "l1" && convention != usual.convention)
    keys.mistake("convention", fmt::format("is {}, must be left out with regularizer l1", convention));
}

double ProxOptions::lambda(const WeightContext& context) const {
  if (homotopy == "constant") return rate;
  return rate * static_cast<double>(homotopy == "step" ? context.step : context.epoch());
}

void ProxOptions::clip_to_box(std::span<float> u) const {
  if (clip <= 0) return;
  const auto bound = static_cast<float>(clip);
  for (float& value : u) value = std::clamp(value, -bound, bound);
}

QuantizationProx::QuantizationProx(const ProxOptions& options, const WeightTensor& tensor)
    : options_(options), groups_(tensor, options.levels == "multi_bit" ? "channel" : "tensor") {
  if (options.levels == "binary") return;
  start_.resize(element_count(tensor.shape));
  nearest_.resize(start_.size());
}

int QuantizationProx::bits() const {
  if (options_.levels == "multi_bit") return options_.bits;
  return options_.levels == "binary" ? 1 : 2;
}

bool QuantizationProx::is_quantized(std::span<const float> u) const {
  const std::size_t levels = options_.levels == "ternary" ? 3 : std::size_t{1} << bits();
  for (std::size_t group = 0; group < groups_.count; ++group)
    if (!has_at_most(groups_.of(u, group), levels)) return false;
  return true;
}

void QuantizationProx::prox(std::span<float> x, double kappa) {
  if (options_.levels == "binary" && options_.regularizer == "l1") {
    for (float& value : x) value = prox_l1(value, kappa);
    return;
  }
  if (options_.convention == "twice") kappa *= 2;
  if (options_.levels == "binary") {
    for (float& value : x) value = prox_l2(value, sign_of(value), kappa);
    return;
  }
  std::ranges::copy(x, start_.begin());
  for (int round = 0; round < options_.rounds; ++round) {
    quantize(x, nearest_);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = prox_l2(start_[i], nearest_[i], kappa);
  }
}

void QuantizationProx::quantize(std::span<const float> u, std::span<float> q) {
  if (options_.levels == "binary") {
    for (std::size_t i = 0; i < u.size(); ++i) q[i] = sign_of(u[i]);
  } else if (options_.levels == "ternary") {
    asymmetric_ternary_projection(u, q);
  } else {
    for (std::size_t group = 0; group < groups_.count; ++group)
      alternating(groups_.of(u, group), options_.bits, kRefinements, groups_.of(q, group));
  }
}

}  // namespace qtrain::quant
