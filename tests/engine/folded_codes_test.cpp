#include "engine/folded_codes.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "kernels/kernels.hpp"

// Batch norm and quantizer as one linear map: the float pass's codes for every sum and every code added.
namespace qtrain::engine {
namespace {

constexpr std::size_t kChannels = 32;

/// Codes 0 to `top`: rounded up, or to the nearest.
class Codes final : public quant::ActivationQuantizer {
 public:
  Codes(int top, float step, bool up) : top_(top), step_(step), up_(up) {}
  void forward(std::span<const float> x, std::span<float> codes) const override {
    const auto top = static_cast<float>(top_);
    if (up_) return kernels::active().ceil_codes(x.data(), step_, top, codes.data(), x.size());
    std::ranges::transform(x, codes.begin(),
                           [&](float v) { return std::clamp(std::nearbyint(v / step_), 0.0F, top); });
  }
  float scale() const override { return step_; }
  quant::ActivationRange range() const override { return {0, step_ * static_cast<float>(top_)}; }
  int lowest_code() const override { return 0; }
  int highest_code() const override { return top_; }
  bool is_ceiling() const override { return up_; }

 private:
  int top_;
  float step_;
  bool up_;
};

ActivationUnit unit_of(int top, float step, bool up) {
  ActivationUnit unit;
  unit.quantizer = std::make_unique<Codes>(top, step, up);
  return unit;
}

Operand product_of(const kernels::BitConvolution& convolution, Affine& affine) {
  BitProduct product;
  product.convolution = &convolution;
  return {{}, &affine, product};
}

/// Batch norm over a product's sums of about +-100.
struct Norm {
  std::vector<float> gamma, beta, mean, variance;
  explicit Norm(std::uint32_t stream) {
    RandomStream random(50, Purpose::test, stream);
    for (std::size_t c = 0; c < kChannels; ++c) {
      gamma.push_back(random.uniform(-1, 2));
      beta.push_back(random.uniform(-1, 1));
      mean.push_back(random.uniform(-60, 60));
      variance.push_back(random.uniform(100, 10000));
    }
    gamma[3] = 0;
    beta[4] = 100;
    mean[5] = 1e4F;
  }
  Affine::Source source() const {
    auto* self = const_cast<Norm*>(this);
    Affine::Source s;
    s.channels = kChannels;
    s.batch_norm = true;
    s.gamma = gamma.data();
    s.beta = beta.data();
    s.running_mean = self->mean.data();
    s.running_variance = self->variance.data();
    return s;
  }
};

}  // namespace

TEST_CASE("folded codes: those of the float pass, for every sum and every code added") {
  if (!kernels::active().has_passes) return;
  const kernels::BitConvolution convolution({1, 1, 48, kChannels}, {.planes = 1, .no_zeros = true}, {4});
  const int bound = static_cast<int>(convolution.bound());
  REQUIRE(bound == 48 * 15);
  int found = 0, tried = 0;
  for (const bool up : {true, false})
    for (const int top : {1, 3, 15})
      for (const bool adds : {false, true})
        for (std::uint32_t stream = 0; stream < 4; ++stream) {
          const Norm norm(stream);
          const ActivationUnit unit = unit_of(top, 0.1946F, up), before = unit_of(7, 0.31F, true);
          Affine affine(norm.source(), 1), plain({.channels = kChannels, .activation = &before}, 1);
          affine.prepare_evaluation();
          plain.prepare_evaluation();
          const Layout layout{.images = 1, .blocks = 1, .pixels = 1, .lanes = kChannels};
          std::vector<Operand> operands{product_of(convolution, affine)};
          if (adds) operands.push_back({{0, Storage::unsigned_byte}, &plain, {}, &before});
          REQUIRE(FoldedCodes::serves(operands, &unit, layout));
          FoldedCodes folded(operands, unit, layout);
          ++tried;
          if (!folded.find()) continue;
          ++found;
          std::vector<float> z, r;
          std::vector<short> sums;
          std::vector<unsigned char> added;
          for (int v = 0; v <= (adds ? 7 : 0); ++v)
            for (int sum = -bound; sum <= bound; ++sum) {
              z.insert(z.end(), kChannels, static_cast<float>(sum));
              r.insert(r.end(), kChannels, static_cast<float>(v));
              sums.insert(sums.end(), kChannels, static_cast<short>(sum));
              added.insert(added.end(), kChannels, static_cast<unsigned char>(v));
            }
          const std::size_t pixels = z.size() / kChannels;
          std::vector<unsigned char> codes(z.size());
          folded.run(sums.data(), adds ? added.data() : nullptr, codes.data(), pixels);
          const std::vector<float> expected = float_codes(operands, unit, z, r, pixels);
          CHECK(std::ranges::equal(codes, expected,
                                   [](unsigned char a, float b) { return static_cast<float>(a) == b; }));
          CHECK(*std::ranges::max_element(codes) == top);
        }
  CHECK(found > tried / 2);  // a channel with sums too near to a step has no such map
}

TEST_CASE("folded codes: not of what is no linear map of 16-bit sums") {
  const kernels::BitConvolution convolution({1, 1, 48, kChannels}, {.planes = 1, .no_zeros = true}, {4});
  const kernels::BitConvolution wide({1, 1, 3000, kChannels}, {.planes = 1, .no_zeros = true}, {4});
  const Norm norm(0);
  Affine affine(norm.source(), 1);
  const ActivationUnit unit = unit_of(15, 0.5F, true), relu;
  const Layout layout{.images = 1, .blocks = 1, .pixels = 1, .lanes = kChannels};
  const Operand product = product_of(convolution, affine);
  const Operand of_wide = product_of(wide, affine);
  const Operand floats{{0, Storage::float32}, &affine}, bytes{{0, Storage::unsigned_byte}, &affine};
  CHECK(FoldedCodes::serves({product}, &unit, layout) == kernels::active().has_passes);
  CHECK_FALSE(FoldedCodes::serves({of_wide}, &unit, layout));
  CHECK_FALSE(FoldedCodes::serves({floats}, &unit, layout));
  CHECK_FALSE(FoldedCodes::serves({product, floats}, &unit, layout));
  CHECK_FALSE(FoldedCodes::serves({product, bytes}, &unit, layout));  // bytes that are no codes
  CHECK_FALSE(FoldedCodes::serves({product, product}, &unit, layout));
  CHECK_FALSE(FoldedCodes::serves({product}, &relu, layout));
  CHECK_FALSE(FoldedCodes::serves({product}, nullptr, layout));
  const ActivationUnit many = unit_of(16, 0.5F, true);
  CHECK_FALSE(FoldedCodes::serves({product}, &many, layout));
}

}  // namespace qtrain::engine
