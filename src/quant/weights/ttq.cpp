// Trained Ternary Quantization, Zhu, Han, Mao, Dally, ICLR 2017 (arXiv:1612.01064).
//
//   Delta = t max |u|              t = threshold
//   w     = Wp if u > Delta, -Wn if u < -Delta, else 0
//   gu    = Wp gw if u > Delta, Wn gw if u < -Delta, else gw
//   gWp   = sum of gw over u > Delta
//   gWn   = -(sum of gw over u < -Delta)
//
// Wp, Wn: one pair a tensor, learned, both 1 at the start. The paper prints gWn without its minus, which
// would raise the loss; the authors' code has the derivative, as here.
//
// level_gradient: exact    as above
//                 scaled   gWp and gWn times |Wp| and |Wn|, as in the code of ProxQuant (Bai, Wang, Liberty,
//                          ICLR 2019, arXiv:1810.00861), which sums gu instead of gw
//
// A latent value of 0 gives the weight 0, and so do all when they are 0. Wp and Wn are not bounded; the
// weights are integers times one scale only while Wp = Wn.
#include <array>
#include <cmath>

#include "base/error.hpp"
#include "quant/weight_groups.hpp"

namespace qtrain::quant::weights {
namespace {

class Ttq final : public WeightMethod {
 public:
  Ttq(const WeightTensor& tensor, double threshold, bool scaled)
      : groups_(tensor, "tensor"), threshold_(threshold), scaled_(scaled) {}
  Ttq(const Ttq&) = delete;
  Ttq& operator=(const Ttq&) = delete;

  void used(std::span<const float> u, const WeightContext&, std::span<float> w) override {
    const double delta = limit(u);
    const float positive = levels_[0], negative = -levels_[1];
    for (std::size_t i = 0; i < u.size(); ++i) {
      const auto value = static_cast<double>(u[i]);
      w[i] = value > delta ? positive : value < -delta ? negative : 0;
    }
  }
  void pulled(std::span<const float> u, std::span<const float>, std::span<const float> gw,
              const WeightContext&, std::span<float> gu) override {
    const double delta = limit(u);
    const float positive = levels_[0], negative = levels_[1];
    double positive_sum = 0, negative_sum = 0;
    for (std::size_t i = 0; i < u.size(); ++i) {
      const auto value = static_cast<double>(u[i]);
      const bool above = value > delta, below = value < -delta;
      if (above) positive_sum += static_cast<double>(gw[i]);
      if (below) negative_sum -= static_cast<double>(gw[i]);
      gu[i] = above ? positive * gw[i] : below ? negative * gw[i] : gw[i];
    }
    if (scaled_) {
      positive_sum *= std::abs(static_cast<double>(positive));
      negative_sum *= std::abs(static_cast<double>(negative));
    }
    level_gradients_[0] = static_cast<float>(positive_sum);
    level_gradients_[1] = static_cast<float>(negative_sum);
  }
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    return groups_.codes(w, codes, scales);
  }
  int bits() const override { return 2; }

  std::vector<LearnedParameter> learned() const override {
    return {{.name = "positive", .initial = {1}}, {.name = "negative", .initial = {1}}};
  }
  void bind(std::span<float> values, std::span<float> gradients) override {
    QTRAIN_CHECK(values.size() == 2 && gradients.size() == 2, "two levels bound to {} values", values.size());
    levels_ = values;
    level_gradients_ = gradients;
  }

 private:
  double limit(std::span<const float> u) const {
    return threshold_ * static_cast<double>(largest_magnitude(u));
  }

  WeightGroups groups_;
  double threshold_;
  bool scaled_;
  std::array<float, 2> own_levels_ = {1, 1};
  std::array<float, 2> own_gradients_ = {};
  std::span<float> levels_ = own_levels_;  // Wp, Wn
  std::span<float> level_gradients_ = own_gradients_;
};

}  // namespace

WeightFactory read_ttq(spec::Reader& keys) {
  double threshold = 0.05;
  std::string level_gradient = "exact";
  keys.field("threshold", threshold, spec::Bounds{.low = 0, .high = 1, .high_open = true},
             "t: weights up to this part of the largest become 0");
  keys.choice("level_gradient", level_gradient, {"exact", "scaled"}, "gradient of the two levels");
  return [threshold, scaled = level_gradient == "scaled"](const WeightTensor& tensor) {
    return std::make_unique<Ttq>(tensor, threshold, scaled);
  };
}

}  // namespace qtrain::quant::weights
