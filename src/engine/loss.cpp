#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/cast.hpp"
#include "base/error.hpp"
#include "engine/steps.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::engine {

namespace {

constexpr std::size_t kLarge = 1025;  ///< classes from which on cross_entropy is large_cross_entropy

/// Loss of one image and its derivative with respect to the logits `o` (`d`, when not empty). `e` is scratch,
/// as long as `o`.
using Rule = double (*)(const Loss&, std::span<const float> o, std::size_t y, std::span<double> d,
                        std::span<float> e);

double cross_entropy(const Loss& loss, std::span<const float> o, std::size_t y, std::span<double> d,
                     std::span<float> /*e*/) {
  const double top = *std::ranges::max_element(o);
  double sum = 0, all = 0;
  for (const float x : o) {
    sum += std::exp(static_cast<double>(x) - top);
    all += static_cast<double>(x) - top;
  }
  const double log_sum = std::log(sum), off = loss.label_smoothing / static_cast<double>(o.size());
  const double on = 1.0 - loss.label_smoothing;
  for (std::size_t k = 0; k < d.size(); ++k) {
    const double target = (k == y ? on : 0.0) + off;
    d[k] = std::exp(static_cast<double>(o[k]) - top - log_sum) - target;
  }
  // sum_k t_k (log_sum - o_k), the targets adding up to one
  return log_sum - on * (static_cast<double>(o[y]) - top) - off * all;
}

/// The same for large vocabularies, of which exponentials take most of the time: in floats, each once.
double large_cross_entropy(const Loss& loss, std::span<const float> o, std::size_t y, std::span<double> d,
                           std::span<float> e) {
  const kernels::Kernels& k = kernels::active();
  const float top = *std::ranges::max_element(o);
  if (!k.all_finite(o.data(), o.size())) return std::numeric_limits<double>::quiet_NaN();
  std::ranges::transform(o, e.begin(), [top](float x) { return top - x; });
  const double all = -std::accumulate(e.begin(), e.end(), 0.0);
  k.exp_minus(e.data(), e.data(), e.size());
  const double sum = std::accumulate(e.begin(), e.end(), 0.0);
  const double log_sum = std::log(sum), off = loss.label_smoothing / static_cast<double>(o.size());
  const double on = 1.0 - loss.label_smoothing, inverse = 1 / sum;
  for (std::size_t c = 0; c < d.size(); ++c) d[c] = static_cast<double>(e[c]) * inverse - off;
  if (!d.empty()) d[y] -= on;
  return log_sum - on * static_cast<double>(o[y] - top) - off * all;
}

double squared_error(const Loss&, std::span<const float> o, std::size_t y, std::span<double> d,
                     std::span<float> /*e*/) {
  double sum = 0;
  for (std::size_t k = 0; k < o.size(); ++k) {
    const double error = static_cast<double>(o[k]) - (k == y ? 1.0 : 0.0);
    sum += 0.5 * error * error;
    if (!d.empty()) d[k] = error;
  }
  return sum;
}

double multiclass_hinge(const Loss&, std::span<const float> o, std::size_t y, std::span<double> d,
                        std::span<float> /*e*/) {
  std::size_t rival = y == 0 ? 1 : 0;
  for (std::size_t k = 0; k < o.size(); ++k)
    if (k != y && o[k] > o[rival]) rival = k;
  const double margin = 1.0 - static_cast<double>(o[y]) + static_cast<double>(o[rival]);
  std::ranges::fill(d, 0.0);
  if (!d.empty() && margin > 0) {
    d[y] = -1.0;
    d[rival] = 1.0;
  }
  return std::isnan(margin) ? margin : std::max(0.0, margin);
}

double squared_hinge(const Loss&, std::span<const float> o, std::size_t y, std::span<double> d,
                     std::span<float> /*e*/) {
  double sum = 0;
  const auto classes = static_cast<double>(o.size());
  for (std::size_t k = 0; k < o.size(); ++k) {
    const double t = k == y ? 1.0 : -1.0, gap = 1.0 - t * static_cast<double>(o[k]);
    const double open = gap > 0 ? gap : gap * 0.0;  // keeps a NaN
    sum += open * open / classes;
    if (!d.empty()) d[k] = -2.0 * t * open / classes;
  }
  return sum;
}

Rule rule_of(LossKind kind, std::size_t classes) {
  switch (kind) {
    case LossKind::cross_entropy:
      return classes >= kLarge ? large_cross_entropy : cross_entropy;
    case LossKind::squared_error:
      return squared_error;
    case LossKind::multiclass_hinge:
      return multiclass_hinge;
    case LossKind::squared_hinge:
      break;
  }
  return squared_hinge;
}

class LossStep final : public Step {
 public:
  LossStep(const Loss& loss, TensorId src, TensorId diff_src, TensorId scratch, int images, int classes,
           std::vector<LossPartial>* partials)
      : Step("loss", StepKind::loss, {src},
             diff_src >= 0 ? std::vector<TensorId>{diff_src, scratch} : std::vector<TensorId>{scratch}),
        loss_(loss),
        rule_(rule_of(loss.kind, static_cast<std::size_t>(classes))),
        src_(src),
        diff_src_(diff_src),
        scratch_(scratch),
        images_(static_cast<std::size_t>(images)),
        classes_(static_cast<std::size_t>(classes)),
        partials_(partials) {}

  void run(const RunContext& context) const override {
    LossPartial partial;
    auto* place = reinterpret_cast<double*>(context.raw(scratch_));
    const std::span<double> diff(place, diff_src_ >= 0 ? classes_ : 0);
    const std::span<float> scratch(reinterpret_cast<float*>(place + classes_), classes_);
    for (std::size_t n = 0; n < images_; ++n) {
      const std::span<const float> o(context.at(src_) + n * classes_, classes_);
      const auto y = static_cast<std::size_t>(context.labels[n]);
      partial.loss += rule_(loss_, o, y, diff, scratch);
      partial.correct += static_cast<std::size_t>(std::ranges::max_element(o) - o.begin()) == y ? 1 : 0;
      for (std::size_t k = 0; k < diff.size(); ++k)
        context.at(diff_src_)[n * classes_ + k] = static_cast<float>(diff[k] * context.inverse_batch);
    }
    (*partials_)[static_cast<std::size_t>(context.shard)] = partial;
  }

 private:
  Loss loss_;
  Rule rule_;
  TensorId src_, diff_src_, scratch_;
  std::size_t images_, classes_;
  std::vector<LossPartial>* partials_;
};

}  // namespace

std::size_t loss_scratch_bytes(int classes) {
  return narrow<std::size_t>(classes) * (sizeof(double) + sizeof(float));
}

std::unique_ptr<Step> loss_step(const Loss& loss, TensorId src, TensorId diff_src, TensorId scratch,
                                int images, int classes, std::vector<LossPartial>* partials) {
  if (classes < 2) fail(ExitCode::usage, "the model has {} classes, a loss takes 2 or more", classes);
  return std::make_unique<LossStep>(loss, src, diff_src, scratch, images, classes, partials);
}

}  // namespace qtrain::engine
