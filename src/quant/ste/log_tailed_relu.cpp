// Log-tailed ReLU straight-through estimator: Cai, He, Sun, Vasconcelos, "Deep Learning with Low Precision by
// Half-wave Gaussian Quantization", CVPR 2017 (arXiv:1702.00953); as in Long, Yin, Xin, "Learning Quantized
// Neural Nets by Coarse Gradient Method for Non-Linear Classification", Research in the Mathematical Sciences
// 2021 (arXiv:2011.11256).
//
//   mu(x)  = 0    x - l    q + ln(x - h + 1)
//   mu'(x) = 0    a        a / (x - h + 1)      for x <= l, l < x <= h, x > h    so mu'(l) = 0, mu'(h) = a
//   l, h: between which the quantizer rises (0 and L alpha), q = h - l    a: its average slope (1)
//
// The papers have the unit step, h = L = 2^bits - 1. With step alpha h is L alpha, and the tail keeps the
// papers' decay in units of x, so that it halves at h + 1 whatever the step. Measured in steps it would be
// alpha / (x - h + alpha), which halves at h + alpha; the two agree for alpha = 1.
#include "quant/activation.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::ste {
namespace {

class LogTailedRelu final : public Ste {
 public:
  void multiply(std::span<const float> x, const ActivationRange& range, std::span<float> g) const override {
    const float low = range.low;
    const float high = range.high;
    const float slope = range.slope;
    multiply_by(x, g, [=](float value) {
      const float past = value - high;
      return kept_if(value > low, slope / (kept_if(past > 0, past) + 1));
    });
  }
};

}  // namespace

SteFactory read_log_tailed_relu(spec::Reader& /*keys*/) {
  return [] { return std::make_unique<LogTailedRelu>(); };
}

}  // namespace qtrain::quant::ste
