// Loss-aware weight quantization (LAQ; with 2 bits, ternarization: LAT): Hou, Kwok, "Loss-aware Weight
// Quantization of Deep Networks", ICLR 2018 (arXiv:1802.08635); the weights of Hou, Zhang, Kwok, "Analysis of
// Quantized Models", ICLR 2019. d is the loss's diagonal curvature, k = 2^(bits-1) - 1.
//
//   min over alpha > 0 and b of 1/2 sum_i d_i (u_i - alpha b_i)^2        w = alpha b        gu = gw
//   levels: linear        b in {0, +-1/k, ..., +-1}             both are {-1, 0, 1} with 2 bits
//   levels: logarithmic   b in {0, +-2^-(k-1), ..., +-1/2, +-1}
//   scales: one, or two   an alpha each for u > 0 and u < 0 (2 bits: LAT2)
//   u = min(max(u, -clip), clip) after each step; clip 0: not at all
//
//   solver: approximate   repeat up to `iterations` times, or until alpha moves less than `tolerance`:
//     alpha = sum d b u / sum d b^2       alpha_step: least_squares, the minimum for given b
//     alpha = sum |d b u| / sum d |b|     alpha_step: code, as in the authors' code; the same with 2 bits
//     b = the level nearest to u / alpha, a tie away from 0
//     (from 3 bits on the authors' alpha is too small, and final weights do not map to themselves)
//   solver: exact         2 bits: with |u| sorted downwards, c_j = sum_{i<=j} d |u| / (2 sum_{i<=j} d), the j
//     that maximises c_j^2 sum_{i<=j} d (the smallest in a tie), alpha = 2 c_j, b = sign(u) where |u| >= c_j
//
// The approximate solver starts from b of the step before; at first, or where that gives no alpha > 0, from
// b = sign(u) where |u| > 0.7 mean |u|; from weights that are quantized already, at their own alpha and b. To
// evaluate, it starts from the last training step's b on the present u. All u zero: alpha = 0, b = 0.
//
// curvature: optimizer (d = sqrt(v) + 1e-8 with the optimizer's second moment v, that of the step before) or
// accumulator (v = 0.999 v + 0.001 gw^2 over gradients at w, from 0, as in the authors' code). Only ratios of
// d matter, so Adam's bias correction changes nothing; d is constant before the first step and with an
// optimizer that has no second moment. The clip is the authors' code's.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "quant/loss_aware.hpp"
#include "quant/scale_fit.hpp"

namespace qtrain::quant::weights {
namespace {

constexpr int kMostLogarithmicBits = 5;  // of codes as integers: 8 bits would need 127-bit ones

struct Options {
  LossAwareOptions shared;
  FitOptions fit;
  int bits = 3;
  bool logarithmic = false;
  bool two_scales = false;
  LevelGrid grid() const { return {.k = (1 << (bits - 1)) - 1, .logarithmic = logarithmic}; }
};

class Laq final : public LossAware {
 public:
  Laq(const Options& options, std::size_t size)
      : LossAware(options.shared, size),
        options_(options),
        grid_(options.grid()),
        fit_(grid_, options.fit, size),
        codes_(size) {}

  void initialize(std::span<const float> w, std::span<float> u) override {
    LossAware::initialize(w, u);
    const auto recognized = per_part([&](Part part, float) { return fit_.recognized(part, w); });
    fit_.nearest(w, recognized[0], recognized[1], codes_);
    std::ranges::transform(recognized, alpha_.begin(), [](double a) { return static_cast<float>(a); });
  }
  void used(std::span<const float> u, const WeightContext& context, std::span<float> w) override {
    quantize(u, context, w, !context.evaluation);
  }
  void final(std::span<const float> u, const WeightContext& context, std::span<float> w) override {
    quantize(u, context, w, false);
  }

  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    if (scale_[0] != scale_[1] || (options_.logarithmic && options_.bits > kMostLogarithmicBits))
      return false;
    const float unit = options_.logarithmic ? std::ldexp(scale_[0], 1 - grid_.k) : scale_[0];
    scales[0] = unit;
    for (std::size_t i = 0; i < w.size(); ++i)
      codes[i] = unit > 0 ? static_cast<float>(static_cast<int>(w[i] / unit + std::copysign(0.5F, w[i]))) : 0;
    return true;
  }
  std::optional<CodeRange> code_range() const override {
    if (options_.two_scales) return {};
    if (!options_.logarithmic) return CodeRange{-grid_.k, grid_.k};
    if (options_.bits > kMostLogarithmicBits) return {};
    return CodeRange{-(1 << (grid_.k - 1)), 1 << (grid_.k - 1)};
  }
  int bits() const override { return options_.bits; }
  std::vector<std::span<float>> state() override {
    auto parts = LossAware::state();
    if (!options_.fit.exact) parts.insert(parts.end(), {codes_, alpha_});
    return parts;
  }

 private:
  /// One number for u >= 0 and one for u < 0, the same if they share their scale.
  template <class Value>
  std::array<double, 2> per_part(Value value) const {
    if (options_.two_scales) return {value(Part::positive, alpha_[0]), value(Part::negative, alpha_[1])};
    const double shared = value(Part::all, alpha_[0]);
    return {shared, shared};
  }
  void quantize(std::span<const float> u, const WeightContext& context, std::span<float> w, bool keep) {
    const std::span<const float> d = curvature(context);
    const auto alpha = per_part(
        [&](Part part, float start) { return fit_.fit(part, u, d, codes_, static_cast<double>(start)); });
    fit_.nearest(u, alpha[0], alpha[1], w);
    if (keep) std::ranges::copy(w, codes_.begin());
    for (std::size_t side = 0; side < 2; ++side) {
      scale_[side] = static_cast<float>(alpha[side] * grid_.unit());
      if (keep) alpha_[side] = static_cast<float>(alpha[side]);
    }
    for (std::size_t i = 0; i < w.size(); ++i) w[i] *= scale_[u[i] < 0 ? 1 : 0];
  }

  Options options_;
  LevelGrid grid_;
  ScaleFit fit_;
  std::vector<float> codes_;      // of the last training step, signed: where the next one starts
  std::array<float, 2> alpha_{};  // likewise, for u >= 0 and u < 0
  std::array<float, 2> scale_{};  // of the weights made last
};

}  // namespace

WeightFactory read_laq(spec::Reader& keys) {
  Options options;
  std::string levels = "linear";
  std::string solver = "approximate";
  std::string scales = "one";
  std::string alpha_step = "least_squares";
  keys.field("bits", options.bits, spec::between(2, 8), "of a weight: 2^bits - 1 levels");
  keys.choice("levels", levels, {"linear", "logarithmic"}, "how levels are spaced");
  keys.choice("solver", solver, {"approximate", "exact"}, "alternating, or the optimum (2 bits)");
  keys.choice("scales", scales, {"one", "two"}, "one alpha a tensor, or one for each sign (2 bits)");
  keys.choice("alpha_step", alpha_step, {"least_squares", "code"},
              "alpha for given b: the minimum, or the authors' code's");
  keys.field("iterations", options.fit.iterations, spec::at_least(1), "most alternations a step");
  keys.field("tolerance", options.fit.tolerance, spec::non_negative,
             "alternations end when alpha moves less");
  options.shared.read(keys);
  options.logarithmic = levels == "logarithmic";
  options.two_scales = scales == "two";
  options.fit.exact = solver == "exact";
  options.fit.least_squares = alpha_step == "least_squares";
  const FitOptions usual;
  if (options.fit.exact && (!options.fit.least_squares || options.fit.iterations != usual.iterations ||
                            options.fit.tolerance != usual.tolerance))
    keys.mistake("solver",
                 "is exact, must be approximate where alpha_step, iterations or tolerance is given");
  if (options.bits != 2 && options.fit.exact)
    keys.mistake("solver", fmt::format("is exact, must be approximate with {} bits", options.bits));
  if (options.bits != 2 && options.two_scales)
    keys.mistake("scales", fmt::format("is two, must be one with {} bits", options.bits));
  return [=](const WeightTensor& tensor) {
    return std::make_unique<Laq>(options, static_cast<std::size_t>(element_count(tensor.shape)));
  };
}

}  // namespace qtrain::quant::weights
