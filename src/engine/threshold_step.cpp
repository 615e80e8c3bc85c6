#include "engine/threshold_step.hpp"

#include <algorithm>
#include <limits>

#include "engine/convert.hpp"
#include "engine/folded_codes.hpp"
#include "engine/tiles.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::engine {

namespace {

constexpr std::size_t kBlock = 16;  ///< outputs of a kernel's block
constexpr int kLowest = std::numeric_limits<std::int16_t>::min();
constexpr int kHighest = std::numeric_limits<std::int16_t>::max();

class Pass final : public ElementwiseForward {
 public:
  Pass(const std::string& name, const std::vector<Operand>& operands, const ActivationUnit& unit,
       const Stored& codes, const Layout& layout)
      : ElementwiseForward(name, StepKind::convolution_forward, tensors_of(operands),
                           std::vector<TensorId>{codes.tensor}),
        operands_(operands),
        unit_(unit),
        codes_(codes),
        layout_(layout),
        padded_((layout.channels + kBlock - 1) / kBlock * kBlock),
        thresholds_(2 * padded_),
        flipped_(2 * padded_ / kBlock) {
    for (const Operand& o : operands_)
      if (o.product)
        product_ = &*o.product;
      else
        added_ = &o.z;
  }

  void also_write(const Stored& dst) override {
    add_write(dst.tensor);
    others_.push_back(dst);
  }

  // A bisection of all channels at once for the least sum that has the code of the greatest.
  void prepare() override {
    const std::size_t channels = layout_.channels;
    for (std::size_t added = 0; added < 2; ++added) {
      const std::vector<float> first = codes_at(std::vector<int>(channels, kLowest), added);
      const std::vector<float> last = codes_at(std::vector<int>(channels, kHighest), added);
      std::vector<int> below(channels, kLowest), above(channels, kHighest), middle(channels);
      for (int halvings = 0; halvings < 16; ++halvings) {
        for (std::size_t c = 0; c < channels; ++c) middle[c] = below[c] + (above[c] - below[c]) / 2;
        const std::vector<float> codes = codes_at(middle, added);
        for (std::size_t c = 0; c < channels; ++c) (codes[c] == last[c] ? above : below)[c] = middle[c];
      }
      for (std::size_t c = 0; c < channels; ++c) {
        const bool constant = first[c] == last[c];
        thresholds_[added * padded_ + c] = static_cast<std::int16_t>(constant ? kLowest : above[c]);
        const bool flipped = last[c] == static_cast<float>(unit_.quantizer->lowest_code());
        const auto bit = static_cast<std::uint16_t>(1U << c % kBlock);
        std::uint16_t& bits = flipped_[(added * padded_ + c) / kBlock];
        bits = static_cast<std::uint16_t>(flipped ? bits | bit : bits & ~bit);
      }
    }
  }

  void run(const RunContext& context) const override {
    const kernels::BitThresholds thresholds{thresholds_.data(), flipped_.data(), padded_,
                                            static_cast<unsigned char>(unit_.quantizer->lowest_code()),
                                            static_cast<unsigned char>(unit_.quantizer->highest_code())};
    const auto* planes = reinterpret_cast<const unsigned char*>(context.raw(product_->planes));
    auto* codes = reinterpret_cast<unsigned char*>(context.raw(codes_.tensor));
    const unsigned char* added =
        added_ == nullptr ? nullptr : reinterpret_cast<const unsigned char*>(context.raw(added_->tensor));
    const std::size_t image = layout_.size() / product_->images;
    for (std::size_t n = 0; n < product_->images; ++n) {
      pack(context, *product_, n);
      product_->convolution->run(thresholds, planes, added == nullptr ? nullptr : added + n * image,
                                 codes + n * image);
    }
    for (const Stored& dst : others_) hand_over(context, dst);
  }

 private:
  /// The float pass's codes of one pixel whose channels' sums are z.
  std::vector<float> codes_at(const std::vector<int>& sums, std::size_t added) const {
    const std::vector<float> z(sums.begin(), sums.end()), r(z.size(), static_cast<float>(added));
    return float_codes(operands_, unit_, z, r, 1);
  }

  void hand_over(const RunContext& context, const Stored& dst) const {
    alignas(64) float tile[kTileSize];
    const std::byte* codes = context.raw(codes_.tensor);
    for (std::size_t i = 0; i < layout_.size(); i += kTileSize) {
      const std::size_t size = std::min(kTileSize, layout_.size() - i);
      load(codes_.storage, codes + i, tile, size);
      store(tile, dst.storage, context.raw(dst.tensor) + i * size_of(dst.storage), size);
    }
  }

  std::vector<Operand> operands_;
  const BitProduct* product_ = nullptr;
  const Stored* added_ = nullptr;
  const ActivationUnit& unit_;
  Stored codes_;
  std::vector<Stored> others_;
  Layout layout_;
  std::size_t padded_;
  std::vector<std::int16_t> thresholds_;
  std::vector<std::uint16_t> flipped_;
};

}  // namespace

bool has_thresholds(const std::vector<Operand>& operands, const ActivationUnit* unit) {
  if (unit == nullptr || !unit->quantizer || unit->quantizer->levels() != 2) return false;
  if (unit->quantizer->lowest_code() < -128 || unit->quantizer->highest_code() > 127) return false;
  std::size_t products = 0;
  for (const Operand& o : operands) {
    if (o.product) {
      products += o.product->convolution->gives_codes() ? 1 : 0;
      continue;
    }
    const bool bits =
        o.unit != nullptr && o.unit->quantizer->lowest_code() == 0 && o.unit->quantizer->highest_code() == 1;
    if (!bits || o.z.storage != Storage::unsigned_byte) return false;
  }
  return products == 1 && operands.size() <= 2;
}

std::unique_ptr<ElementwiseForward> threshold_forward(const std::string& name,
                                                      const std::vector<Operand>& operands,
                                                      const ActivationUnit& unit, const Stored& codes,
                                                      const Layout& layout) {
  return std::make_unique<Pass>(name, operands, unit, codes, layout);
}

}  // namespace qtrain::engine
