#include "engine/folded_codes.hpp"

#include <algorithm>
#include <cmath>

#include "engine/tiles.hpp"
#include "kernels/kernels.hpp"
#include "kernels/passes.hpp"

namespace qtrain::engine {

namespace {

constexpr double kHuge = 1e9;  ///< beyond every offset
constexpr int kMostCode = 15;  ///< there are as many steps as codes times codes added

bool from_zero(const quant::ActivationQuantizer& q) {
  return q.lowest_code() == 0 && q.highest_code() <= kMostCode;
}

bool is_added(const Operand& o) {
  return o.z.storage == Storage::unsigned_byte && o.unit != nullptr && from_zero(*o.unit->quantizer);
}

}  // namespace

std::vector<float> float_codes(const std::vector<Operand>& operands, const ActivationUnit& unit,
                               const std::vector<float>& z, const std::vector<float>& r, std::size_t pixels) {
  const auto& k = kernels::active();
  const std::size_t lanes = z.size() / pixels;
  std::vector<float> y(z.size());
  const auto values = [&](const Operand& o) { return o.product ? z.data() : r.data(); };
  const Operand& first = operands.front();
  if (operands.size() == 1)
    k.affine(values(first), first.affine->a(), first.affine->b(), y.data(), pixels, lanes);
  else
    k.affine_add(values(first), first.affine->a(), first.affine->b(), values(operands[1]),
                 operands[1].affine->a(), operands[1].affine->b(), y.data(), pixels, lanes);
  unit.quantizer->forward(y, y);
  return y;
}

bool FoldedCodes::serves(const std::vector<Operand>& operands, const ActivationUnit* unit,
                         const Layout& layout) {
  if (operands.size() > 2 || unit == nullptr || !unit->quantizer || !has_passes(operands, layout))
    return false;
  const quant::ActivationQuantizer& q = *unit->quantizer;
  // Codes that go up by more than 1 are none of a linear map's.
  if (!from_zero(q) || q.levels() != q.highest_code() + 1) return false;
  const auto is_product = [](const Operand& o) { return o.product && o.product->convolution->fits_shorts(); };
  return std::ranges::count_if(operands, is_product) == 1 &&
         std::ranges::all_of(operands, [&](const Operand& o) { return is_product(o) || is_added(o); });
}

FoldedCodes::FoldedCodes(const std::vector<Operand>& operands, const ActivationUnit& unit,
                         const Layout& layout)
    : operands_(operands),
      unit_(unit),
      channels_(layout.lanes),
      top_(unit.quantizer->highest_code()),
      slopes_(channels_),
      r_slopes_(channels_),
      offsets_(channels_) {
  for (const Operand& o : operands) (o.product ? product_ : added_) = &o;
  bound_ = static_cast<int>(product_->product->convolution->bound());
  if (added_ != nullptr) added_top_ = added_->unit->quantizer->highest_code();
}

// [code added][k - 1][channel]: the least sum, times the sign of the channel's slope, with a code of at least
// k; beyond the bound, none. A bisection of all at once.
std::vector<int> FoldedCodes::steps() const {
  const auto codes = static_cast<std::size_t>(top_),
             pixels = codes * static_cast<std::size_t>(added_top_ + 1);
  const std::size_t size = pixels * channels_;
  const float* slopes = product_->affine->a();
  std::vector<int> below(size, -bound_ - 1), above(size, bound_ + 1);
  std::vector<float> z(size), r(size);
  for (std::size_t i = 0; i < size; ++i) r[i] = static_cast<float>(i / (codes * channels_));
  for (int width = 2 * bound_ + 2; width > 1; width = (width + 1) / 2) {
    for (std::size_t i = 0; i < size; ++i) {
      const int middle = below[i] + (above[i] - below[i]) / 2;
      z[i] = static_cast<float>(slopes[i % channels_] < 0 ? -middle : middle);
    }
    const std::vector<float> found = float_codes(operands_, unit_, z, r, pixels);
    for (std::size_t i = 0; i < size; ++i) {
      if (above[i] - below[i] == 1) continue;
      const int middle = below[i] + (above[i] - below[i]) / 2;
      const auto k = static_cast<float>(i / channels_ % codes + 1);
      (found[i] >= k ? above : below)[i] = middle;
    }
  }
  return above;
}

bool FoldedCodes::find() {
  const std::vector<int> all = steps();
  for (std::size_t c = 0; c < channels_; ++c)
    if (!find(c, all)) return false;
  return true;
}

template <class Visit>
void FoldedCodes::for_each_step(std::size_t channel, const std::vector<int>& steps,
                                const Visit& visit) const {
  std::size_t i = channel;
  for (int v = 0; v <= added_top_; ++v)
    for (int k = 1; k <= top_; ++k, i += channels_) visit(v, k, steps[i]);
}

// With s z = t the least that has code k: s t slope + v r_slope + offset > k - 1 >= s (t - 1) slope + ...
bool FoldedCodes::find(std::size_t channel, const std::vector<int>& steps) {
  const float scale = unit_.quantizer->scale();
  const float slope = product_->affine->a()[channel] / scale;
  const float r_slope = added_ == nullptr ? 0 : added_->affine->a()[channel] / scale;
  const int sign = slope < 0 ? -1 : 1;
  double least = -kHuge, most = kHuge;
  for_each_step(channel, steps, [&](int v, int k, int t) {
    const double rest = k - 1 - static_cast<double>(v) * static_cast<double>(r_slope);
    const double rise = sign * static_cast<double>(slope);
    if (t <= bound_) least = std::max(least, rest - t * rise);
    if (t - 1 >= -bound_) most = std::min(most, rest - (t - 1) * rise);
  });
  const auto offset = static_cast<float>(least + (most - least) / 2);
  bool exact = std::isfinite(slope) && std::isfinite(r_slope);
  for_each_step(channel, steps, [&](int v, int k, int t) {
    const float rest = added_ == nullptr ? offset : std::fma(static_cast<float>(v), r_slope, offset);
    const auto below = static_cast<float>(k - 1);
    const auto sum = [&](int at) { return std::fma(static_cast<float>(sign * at), slope, rest); };
    if (t <= bound_) exact = exact && sum(t) > below;
    if (t - 1 >= -bound_) exact = exact && sum(t - 1) <= below;
  });
  slopes_[channel] = slope;
  r_slopes_[channel] = r_slope;
  offsets_[channel] = offset;
  return exact;
}

void FoldedCodes::run(const short* z, const unsigned char* r, unsigned char* codes,
                      std::size_t pixels) const {
  kernels::active().folded_pass(
      {z, r, slopes_.data(), r_slopes_.data(), offsets_.data(), static_cast<float>(top_), codes}, pixels,
      channels_);
}

}  // namespace qtrain::engine
