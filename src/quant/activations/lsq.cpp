// Learned step size quantization: Esser, McKinstry, Bablani, Appuswamy, Modha, "Learned Step Size
// Quantization", ICLR 2020 (arXiv:1902.08153), unsigned activations: Q_N = 0, Q_P = 2^bits - 1.
//
//   y = s round(min(max(x / s, 0), Q_P))       half way to the even integer
//   dy/ds = 0                      x / s <= 0
//           round(x / s) - x / s   0 < x / s < Q_P
//           Q_P                    x / s >= Q_P
//   gs = 1 / sqrt(N Q_P) sum_i gy_i dy_i/ds    N: values of the layer for one image
//   s starts at 2 mean max(x, 0) / sqrt(Q_P), over the first batch; kept at 0.0001 or above
// x / s is computed as x (1 / s), which may differ in the last digit.
//
// x is what enters the layer, negative values included, as no ReLU stands before; in the paper one does, so
// that its mean |x| is that of max(x, 0). The paper's dy/dx is 1 for 0 < x / s < Q_P: ste clipped_relu, which
// also has x = Q_P s.
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "quant/activation.hpp"
#include "quant/activation_pairs.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::activations {
namespace {

constexpr float kLowestStep = 1e-4F;
constexpr double kMeanOfNormal = 0.3989422804;  // of max(x, 0), x of N(0, 1)

class Lsq final : public ActivationQuantizer {
 public:
  Lsq(int bits, const ActivationTensor& tensor)
      : bits_(bits),
        top_((1 << bits) - 1),
        initial_(step_for(kMeanOfNormal)),
        gradient_scale_(1 / std::sqrt(static_cast<double>(element_count(tensor.shape)) * top_)) {}

  void forward(std::span<const float> x, std::span<float> codes) const override {
    const float inverse = 1 / scale();
    const auto top = static_cast<float>(top_);
    map_blocks(x, codes, [=](float value) { return nearest_code(value * inverse, top); });
  }
  float scale() const override { return bound_ == nullptr ? initial_ : *bound_; }
  ActivationRange range() const override { return {.low = 0, .high = static_cast<float>(top_) * scale()}; }
  int lowest_code() const override { return 0; }
  int highest_code() const override { return top_; }

  std::vector<LearnedParameter> learned() const override {
    return {{.name = "step", .unit = unit_of(bits_), .initial = {initial_}, .low = kLowestStep}};
  }
  void bind(std::span<const float> values) override {
    QTRAIN_CHECK(values.size() == 1, "a step bound to {} values", values.size());
    bound_ = values.data();
  }
  bool starts_from_data() const override { return true; }
  std::vector<float> start(const ActivationStatistics& statistics) const override {
    return {step_for(statistics.mean_positive)};
  }
  void learned_gradient(std::span<const float> x, std::span<const float> gy,
                        std::span<double> gradients) const override {
    const float inverse = 1 / scale();
    const auto top = static_cast<float>(top_);
    const double sum = sum_products(x, gy, [=](float value) {
      const float t = value * inverse;
      const float cut = clamped(t, top);
      return nearest_integer(cut) - cut + kept_if(t >= top, top);  // the difference is 0 where t is cut
    });
    gradients[0] += gradient_scale_ * sum;
  }

 private:
  float step_for(double mean_positive) const {
    return std::max(static_cast<float>(2 * mean_positive / std::sqrt(top_)), kLowestStep);
  }

  int bits_, top_;
  float initial_;
  double gradient_scale_;
  const float* bound_ = nullptr;
};

}  // namespace

ActivationFactory read_lsq(spec::Reader& /*keys*/, int bits) {
  return [bits](const ActivationTensor& tensor) { return std::make_unique<Lsq>(bits, tensor); };
}

std::string refuses_lsq(const std::string& ste) { return refuses_all_but_window("lsq", ste); }

}  // namespace qtrain::quant::activations
