// Two linear layers with a binary activation on Gaussian inputs: the model of Yin, Lyu, Zhang, Osher, Qi,
// Xin, "Understanding Straight-Through Estimator in Training Activation Quantized Neural Nets", ICLR 2019
// (arXiv:1903.05662), under its Algorithm 1.
//
//   y = v^T sigma(Z w), sigma(x) = 1 if x > 0, else 0      Z: m x n, N(0, 1); v: m; w: n
//   l = (y - y*)^2 / 2, y* = v*^T sigma(Z w*), |w*| = 1    f = E l, theta = angle of w and w*
//   v = v - rate E dl/dv                                   both gradients at the same (v, w)
//   w = w - rate E g, g = Z^T (mu'(Z w) v) (y - y*)        mu': the STE; no projection
//
// mode: population   E by closed forms (STEs identity, relu, clipped_relu)
// mode: empirical    E is the mean over `samples` inputs, drawn once
// mode: stochastic   the same, drawn anew each step
//
// start: global_minimum (v = v*, w = w*), saddle, spurious_minimum (theta = pi), random (v normal, w of
// uniform direction), all with |w| = w_norm; or given (v, w). Then `perturbation` times N(0, 1) is added to
// each number. A run ends where w = 0: no angle, no gradient.
//
// A row is the state before a step: f, theta, norms, the loss of the samples, the norm of the coarse gradient
// in w and its inner product with df/dw (closed form). task: line_search is Figure 1: the loss of the samples
// and f at w - eta E g for eta from 0 to largest_eta, v kept.
//
// The result has the last f, theta and |w|; the largest rise of f in a step, and that step (none below
// 1e-12); the lowest inner product; and whether f is near that of the global or (theta > pi / 2) of the
// spurious minimum: within 1e-6, over samples 1e-2. Of a line search it has the lowest loss, and how many
// valleys the loss has: places where it rises after it has fallen.
//
// Ours: learning rate 0.05 (the paper states none), the random start, perturbation, the grid of eta.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "labs/gaussian_samples.hpp"
#include "labs/two_layer_options.hpp"

namespace qtrain::labs {
namespace {

constexpr double kRounding = 1e-12;  // rises of f below it are none

/// E dl/dv and E g of one case.
class Expectation {
 public:
  struct Gradients {
    Json sample_loss;  ///< null without samples
    Vector v, w;
  };

  Expectation(const TwoLayerOptions& options, std::size_t ste, int samples, std::uint64_t seed)
      : options_(options),
        seed_(seed),
        closed_form_(expected_coarse_gradient(options.stes.names[ste])),
        ste_(options.stes.make[ste]()),
        samples_(options.is_sampled() ? static_cast<std::size_t>(samples) : 0, options.teacher) {
    draw(0);
  }
  Gradients at(const TwoLayer& net, int step) {
    if (!options_.is_sampled())
      return {.sample_loss = {},
              .v = v_gradient(net, options_.teacher),
              .w = closed_form_(net, options_.teacher)};
    if (options_.mode == "stochastic" && step > 0) draw(step);
    GaussianSamples::Means means = samples_.coarse_gradient(net, *ste_);
    return {.sample_loss = means.loss, .v = std::move(means.v), .w = std::move(means.w)};
  }
  double sample_loss(const TwoLayer& net) { return samples_.loss(net); }

 private:
  void draw(int step) {
    samples_.draw(RandomStream(seed_, Purpose::generated_data, 0, static_cast<std::uint32_t>(step)));
  }

  const TwoLayerOptions& options_;
  std::uint64_t seed_;
  ExpectedGradient closed_form_;
  std::unique_ptr<quant::Ste> ste_;
  GaussianSamples samples_;
};

/// What is remembered of f and of the inner product over a descent.
struct Extremes {
  double last = std::numeric_limits<double>::infinity();
  double largest_rise = 0;
  Json rise_step;  ///< null without a rise
  Json lowest_product;

  void add(int step, double f, const Json& product) {
    if (f - last > std::max(largest_rise, kRounding)) {
      largest_rise = f - last;
      rise_step = step;
    }
    last = f;
    if (product.is_null()) return;
    if (lowest_product.is_null() || product < lowest_product) lowest_product = product;
  }
};

class TwoLayerGaussian final : public Lab {
 public:
  explicit TwoLayerGaussian(TwoLayerOptions options) : options_(std::move(options)) {}

  std::vector<Json> cases() const override {
    std::vector<Json> list;
    for (const std::string& ste : options_.stes.names)
      if (!options_.is_sampled())
        list.push_back({{"ste", ste}});
      else
        for (const int samples : options_.samples) list.push_back({{"ste", ste}, {"samples", samples}});
    return list;
  }
  LabRun run(std::size_t index, std::uint64_t seed, const Watch& watch) const override {
    const std::size_t sizes = options_.is_sampled() ? options_.samples.size() : 1;
    Expectation expectation(options_, index / sizes, options_.samples[index % sizes], seed);
    const TwoLayer start = options_.start_point(seed);
    return options_.task == "descent" ? descend(expectation, start, watch)
                                      : search(expectation, start, watch);
  }

 private:
  LabRun descend(Expectation& expectation, TwoLayer net, const Watch& watch) const {
    LabRun run;
    Extremes extremes;
    int step = 0;
    while (true) {
      watch();
      const double f = population_loss(net, options_.teacher);
      const bool defined = norm(net.w) > 0 && std::isfinite(f);
      Expectation::Gradients gradients;
      Json product;
      if (defined) {
        gradients = expectation.at(net, step);
        product = dot(gradients.w, w_gradient(net, options_.teacher));
      }
      extremes.add(step, f, product);
      const bool ends = step == options_.steps || !defined;
      if (ends || options_.log.contains(step)) run.rows.push_back(row(step, f, net, gradients, product));
      if (ends) break;
      net.v = plus(net.v, -options_.learning_rate, gradients.v);
      net.w = plus(net.w, -options_.learning_rate, gradients.w);
      ++step;
    }
    run.result = {{"steps", step}};
    for (const char* key : {"f", "theta", "norm_w"}) run.result[key] = run.rows.back()[key];
    run.result["largest_rise"] = extremes.largest_rise;
    run.result["rise_step"] = extremes.rise_step;
    run.result["lowest_product"] = extremes.lowest_product;
    run.result["global"] = extremes.last < tolerance();
    run.result["spurious"] = is_spurious(net, extremes.last);
    return run;
  }

  Json row(int step, double f, const TwoLayer& net, const Expectation::Gradients& gradients,
           const Json& product) const {
    const bool defined = !gradients.w.empty();
    Json row = {{"step", step}, {"f", f}};
    if (options_.is_sampled()) row["sample_loss"] = gradients.sample_loss;
    row["theta"] = defined ? Json(direction(net.w, options_.teacher.w).theta) : Json();
    row["norm_v"] = norm(net.v);
    row["norm_w"] = norm(net.w);
    row["gradient_norm"] = defined ? Json(norm(gradients.w)) : Json();
    row["inner_product"] = product;
    return row;
  }

  /// How near f must be to that of a minimum to count as there.
  double tolerance() const { return options_.is_sampled() ? 1e-2 : 1e-6; }

  bool is_spurious(const TwoLayer& net, double f) const {
    const std::optional<TwoLayer> minimum = spurious_minimum(options_.teacher);
    return minimum && std::abs(f - population_loss(*minimum, options_.teacher)) < tolerance() &&
           dot(net.w, options_.teacher.w) < 0;
  }

  LabRun search(Expectation& expectation, const TwoLayer& start, const Watch& watch) const {
    LabRun run;
    const Vector gradient = expectation.at(start, 0).w;
    const char* key = options_.is_sampled() ? "sample_loss" : "f";
    for (int i = 0; i <= options_.points; ++i) {
      watch();
      const double eta = options_.largest_eta * i / options_.points;
      const TwoLayer net{.v = start.v, .w = plus(start.w, -eta, gradient)};
      Json& row = run.rows.emplace_back(Json{{"eta", eta}});
      if (options_.is_sampled()) row["sample_loss"] = expectation.sample_loss(net);
      row["f"] = population_loss(net, options_.teacher);
    }
    std::size_t best = 0;
    int valleys = 0;
    bool falling = false;
    for (std::size_t i = 1; i < run.rows.size(); ++i) {
      const double before = run.rows[i - 1][key];
      const double now = run.rows[i][key];
      if (run.rows[i][key] < run.rows[best][key]) best = i;
      if (falling && now > before) ++valleys;
      if (now != before) falling = now < before;
    }
    run.result = {{"start_loss", run.rows.front()[key]},
                  {"lowest_loss", run.rows[best][key]},
                  {"best_eta", run.rows[best]["eta"]},
                  {"valleys", valleys}};
    return run;
  }

  TwoLayerOptions options_;
};

}  // namespace

namespace problems {

std::unique_ptr<Lab> read_two_layer_gaussian(spec::Reader& keys) {
  TwoLayerOptions options;
  options.read(keys);
  return std::make_unique<TwoLayerGaussian>(std::move(options));
}

}  // namespace problems
}  // namespace qtrain::labs
