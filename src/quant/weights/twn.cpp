// Ternary Weight Networks, Li, Zhang, Liu, 2016 (arXiv:1605.04711).
//
//   Delta = 0.7 mean |u|
//   w_i   = alpha sign(u_i) if |u_i| > Delta, else 0
//   alpha = sum of |u_i| over those selected, |u_i| > Delta, divided by their number
//   gu    = gw                                                 straight through
//
// scale:     tensor     Delta and alpha of the whole tensor, as in the paper
//            channel    of each output channel
// mean_over: selected   as above
//            all        the sum is divided by the number of all weights, as in the authors' code for
//                       BinaryRelax (arXiv:1801.06313) and BCGD (arXiv:1808.05240), both Yin et al.
//
// Weights that are all 0 have alpha = 0 and stay 0.
#include "quant/projections.hpp"
#include "quant/weight_groups.hpp"

namespace qtrain::quant::weights {
namespace {

class Twn final : public WeightMethod {
 public:
  Twn(const WeightGroups& groups, bool over_all) : groups_(groups), over_all_(over_all) {}

  void used(std::span<const float> u, const WeightContext&, std::span<float> w) override {
    for (std::size_t group = 0; group < groups_.count; ++group)
      ternary_projection(groups_.of(u, group), groups_.of(w, group), over_all_);
  }
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    return groups_.codes(w, codes, scales);
  }
  std::size_t scale_count() const override { return groups_.count; }
  std::optional<CodeRange> code_range() const override { return CodeRange{-1, 1}; }
  int bits() const override { return 2; }

 private:
  WeightGroups groups_;
  bool over_all_;
};

}  // namespace

WeightFactory read_twn(spec::Reader& keys) {
  std::string scale = "tensor";
  std::string mean_over = "selected";
  read_scale(keys, scale);
  keys.choice("mean_over", mean_over, {"selected", "all"}, "what alpha's sum is divided by the number of");
  return [scale, over_all = mean_over == "all"](const WeightTensor& tensor) {
    return std::make_unique<Twn>(WeightGroups(tensor, scale), over_all);
  };
}

}  // namespace qtrain::quant::weights
