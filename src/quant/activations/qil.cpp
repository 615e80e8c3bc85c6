// Quantization interval learning: Jung, Son, Lee, Son, Han, Kwak, Hwang, Choi, "Learning to Quantize Deep
// Networks by Optimizing Quantization Intervals with Task Loss", CVPR 2019 (arXiv:1808.05779), activations.
//
//   u = 0.5 (x - c) / d + 0.5, cut to [0, 1]     0 to 1 over the interval [c - d, c + d]
//   y = round(q u) / q                           q = 2^bits - 1, half way to the even integer
//   dy/dc = -0.5 / d               for c - d < x <= c + d, else 0
//   dy/dd = -0.5 (x - c) / d^2     for c - d < x <= c + d, else 0
//
// c and d are learned, one each a layer, at interval_rate times the rate of the weights; d is kept at 0.0001
// or above. They start at c = d = reach * max x / 2 over the first batch. dy/dx = 0.5 / d inside the
// interval: ste clipped_relu. The output has no scale, so batch norm must follow. Start and interval_rate are
// choices made here. No ReLU stands before: for c >= d the interval prunes what it would; for c < d part of x
// < 0 passes.
#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "kernels/kernels.hpp"
#include "quant/activation.hpp"
#include "quant/activation_pairs.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::activations {
namespace {

constexpr float kNarrowest = 1e-4F;

struct Interval {
  float c = 1;
  float d = 1;
};

class Qil final : public ActivationQuantizer {
 public:
  Qil(int bits, double rate, double reach) : top_((1 << bits) - 1), rate_(rate), reach_(reach) {}

  void forward(std::span<const float> x, std::span<float> codes) const override {
    const auto [c, d] = interval();
    const auto top = static_cast<float>(top_);
    const float factor = 0.5F / d;
    map_blocks(x, codes,
               [=, c = c](float value) { return nearest_code(((value - c) * factor + 0.5F) * top, top); });
  }
  float scale() const override { return 1.0F / static_cast<float>(top_); }
  ActivationRange range() const override {
    const auto [c, d] = interval();
    return {.low = c - d, .high = c + d, .slope = 0.5F / d};
  }
  int lowest_code() const override { return 0; }
  int highest_code() const override { return top_; }

  std::vector<LearnedParameter> learned() const override {
    const Interval initial;
    return {{.name = "c", .initial = {initial.c}, .learning_rate_factor = rate_},
            {.name = "d", .initial = {initial.d}, .learning_rate_factor = rate_, .low = kNarrowest}};
  }
  void bind(std::span<const float> values) override {
    QTRAIN_CHECK(values.size() == 2, "c and d bound to {} values", values.size());
    bound_ = values.data();
  }
  bool starts_from_data() const override { return true; }
  std::vector<float> start(const ActivationStatistics& statistics) const override {
    const float half = std::max(static_cast<float>(0.5 * reach_) * statistics.largest, kNarrowest);
    return {half, half};
  }
  void learned_gradient(std::span<const float> x, std::span<const float> gy,
                        std::span<double> gradients) const override {
    const auto [c, d] = interval();
    const ActivationRange window = range();
    std::array<double, 2> sums{};  // of gy, of gy x inside the interval
    kernels::active().window_sums(x.data(), window.low, window.high, gy.data(), sums.data(), x.size());
    const double wide = static_cast<double>(d);
    gradients[0] -= 0.5 / wide * sums[0];
    gradients[1] -= 0.5 / (wide * wide) * (sums[1] - static_cast<double>(c) * sums[0]);
  }

 private:
  Interval interval() const { return bound_ == nullptr ? Interval{} : Interval{bound_[0], bound_[1]}; }

  int top_;
  double rate_, reach_;
  const float* bound_ = nullptr;
};

}  // namespace

ActivationFactory read_qil(spec::Reader& keys, int bits) {
  double rate = 0.01, reach = 1;
  keys.field("interval_rate", rate, spec::positive, "factor on the learning rate of c and d");
  keys.field("reach", reach, spec::positive,
             "the first interval goes from 0 to reach times the first batch's largest x");
  return [=](const ActivationTensor&) { return std::make_unique<Qil>(bits, rate, reach); };
}

std::string refuses_qil(const std::string& ste) { return refuses_all_but_window("qil", ste); }

}  // namespace qtrain::quant::activations
