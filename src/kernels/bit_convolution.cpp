#include "kernels/bit_convolution.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.hpp"

namespace qtrain::kernels {

namespace {

constexpr std::size_t kBlock = 16;  ///< outputs
constexpr double kExactInFloat = 1 << 24;
constexpr double kBeyondShort = 1 << 15;
constexpr int kMostPlanes = 8;
constexpr int kMostOfByte = 255;
constexpr int kMostInTables = 4;  ///< planes: a byte holds the sum of four entries

std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

double window_size(const ConvolutionGeometry& g) {
  return static_cast<double>(g.channels * g.kernel * g.kernel);
}

/// Largest magnitude of a number of `planes` digits; of one digit if they are taken apart.
double most(int planes, bool weighted) { return weighted ? 1 : std::exp2(planes) - 1; }

/// Bound of the results and of what they are added up from.
double largest_sum(const ConvolutionGeometry& g, const BitWeights& weights,
                   const BitActivations& activations) {
  const double indices = activations.step * most(activations.planes, activations.weighted);
  return window_size(g) * most(weights.planes, weights.weighted) * (indices + std::abs(activations.lowest));
}

/// Digits of a weight, plane by plane in the lowest bits.
struct Digits {
  std::uint32_t signs, masks;
};

Digits digits_of(float code, int planes, bool binary) {
  const int w = static_cast<int>(code), top = (1 << planes) - 1;
  // w = sum of 2^i (1 - 2 s_i) = top - 2 s
  if (binary) return {static_cast<std::uint32_t>((top - w) / 2), static_cast<std::uint32_t>(top)};
  const auto magnitude = static_cast<std::uint32_t>(std::abs(w));
  return {w < 0 ? magnitude : 0, magnitude};
}

}  // namespace

std::string BitConvolution::refusal(const ConvolutionGeometry& g, const BitWeights& weights,
                                    const BitActivations& activations) {
  if (g.height * g.width * g.channels * g.outputs * g.kernel * g.stride == 0) return "a size is 0";
  if (g.kernel > std::min(g.height, g.width) + 2 * g.padding + g.end_padding)
    return fmt::format("the kernel ({}) is larger than the padded image", g.kernel);
  if (std::min(weights.planes, activations.planes) < 1 ||
      std::max(weights.planes, activations.planes) > kMostPlanes)
    return fmt::format("{} x {} planes, must be 1 to {} a side", weights.planes, activations.planes,
                       kMostPlanes);
  if (activations.step != 1 && activations.step != 2)
    return fmt::format("activations go in steps of {}, must be 1 or 2", activations.step);
  if (activations.step * most(activations.planes, false) > kMostOfByte)
    return fmt::format("activations of {} planes in steps of {} do not fit a byte", activations.planes,
                       activations.step);
  const double largest = largest_sum(g, weights, activations);
  if (largest > kExactInFloat) return fmt::format("sums may reach {}, must stay within 2^24", largest);
  return "";
}

BitConvolution::BitConvolution(const ConvolutionGeometry& geometry, const BitWeights& weights,
                               const BitActivations& activations, const Kernels& kernels)
    : geometry_(geometry),
      weights_(weights),
      activations_(activations),
      kernels_(kernels),
      padded_outputs_(round_up(geometry.outputs, kBlock)),
      bound_(largest_sum(geometry, weights, activations)),
      fits_shorts_(!weights.weighted && !activations.weighted && bound_ < kBeyondShort) {
  const std::string reason = refusal(geometry, weights, activations);
  QTRAIN_CHECK(reason.empty(), "bit planes: {}", reason);
  lay_out();
  list_words();
  classify(geometry_.height, plan_.out_height, row_taps_, row_classes_);
  classify(geometry_.width, plan_.out_width, column_taps_, column_classes_);
  for (std::size_t& row : row_classes_) row *= column_taps_.size() * padded_outputs_;
  for (std::size_t& column : column_classes_) column *= padded_outputs_;
  plan_.row_classes = row_classes_.data();
  plan_.column_classes = column_classes_.data();
  plan_.factor = activations_.weighted ? 2.0F : static_cast<float>(activations_.step);
  list_terms();
  const int planes = activations_.planes;
  if (weights_.planes == 1 && weights_.no_zeros && fits_shorts_ && planes >= kernels.table_planes &&
      planes <= kMostInTables) {
    lookup_.emplace(geometry_, activations_.lowest, activations_.step, (1 << planes) - 1, row_classes_.data(),
                    column_classes_.data(), terms_.front().bias.size());
    return;
  }
  const std::size_t size = padded_outputs_ / kBlock * plan_.block_size;
  signs_ = AlignedBuffer<std::uint32_t>(size);
  masks_ = AlignedBuffer<std::uint32_t>(size);
  plan_.signs = signs_.data();
}

void BitConvolution::lay_out() {
  const ConvolutionGeometry& g = geometry_;
  plan_.out_height = g.out_height();
  plan_.out_width = g.out_width();
  plan_.outputs = g.outputs;
  // Two pixels share a 32-bit lane where words of 16 bits waste less and the sums fit 16 bits with a sign.
  const double largest = window_size(g) * most(weights_.planes, weights_.weighted) *
                         most(activations_.planes, activations_.weighted);
  const bool paired = round_up(g.channels, 16) % 32 != 0 && largest < 1 << 15 && plan_.out_width > 1;
  PlaneLayout& l = plan_.layout;
  l.height = g.height;
  l.width = g.width;
  l.channels = g.channels;
  l.planes = static_cast<std::size_t>(activations_.planes);
  l.lowest = activations_.lowest;
  l.step_bits = activations_.step - 1;
  l.kernel = g.kernel;
  l.stride = g.stride;
  l.padding = g.padding;
  l.lane_bytes = paired ? 2 : 4;
  const std::size_t lane_bits = 8 * l.lane_bytes;
  l.words = (g.channels + lane_bits - 1) / lane_bits;
  l.columns = round_up(plan_.out_width, paired ? 2 : 1) + (g.kernel - 1) / g.stride;
  l.phases = std::min(g.stride, g.kernel);
  l.rows = (plan_.out_height - 1) * g.stride + g.kernel;
  l.plane_bytes = l.phases * l.words * l.columns * l.lane_bytes;
  l.row_bytes = l.planes * l.plane_bytes;
  l.image_bytes = l.rows * l.row_bytes;
}

void BitConvolution::list_words() {
  const PlaneLayout& l = plan_.layout;
  for (std::size_t ky = 0; ky < l.kernel; ++ky)
    for (std::size_t kx = 0; kx < l.kernel; ++kx)
      for (std::size_t word = 0; word < l.words; ++word) {
        const std::size_t column = ((kx % l.stride) * l.words + word) * l.columns + kx / l.stride;
        word_offsets_.push_back(ky * l.row_bytes + column * l.lane_bytes);
      }
  plan_.word_offsets = word_offsets_.data();
  plan_.word_count = word_offsets_.size();
  plan_.block_size = static_cast<std::size_t>(weights_.planes) * plan_.word_count * kBlock;
}

void BitConvolution::classify(std::size_t size, std::size_t outputs, std::vector<Taps>& taps,
                              std::vector<std::size_t>& classes) const {
  const bool differ = activations_.weighted || activations_.lowest != 0;
  const std::size_t kernel = geometry_.kernel, padding = geometry_.padding;
  for (std::size_t i = 0; i < outputs; ++i) {
    const std::size_t start = i * geometry_.stride;
    Taps own{0, kernel};
    if (differ && start < padding) own.first = std::min(padding - start, kernel);
    if (differ && start + kernel > size + padding)
      own.last = std::max(size + padding, start + own.first) - start;
    auto found = std::ranges::find(taps, own);
    if (found == taps.end()) found = taps.insert(found, own);
    classes.push_back(static_cast<std::size_t>(found - taps.begin()));
  }
}

void BitConvolution::list_terms() {
  const auto weight_planes = static_cast<std::size_t>(weights_.planes), planes = plan_.layout.planes;
  const std::size_t i_step = weights_.weighted ? 1 : weight_planes;
  const std::size_t p_step = activations_.weighted ? 1 : planes;
  for (std::size_t i0 = 0; i0 < weight_planes; i0 += i_step)
    for (std::size_t p0 = 0; p0 < planes; p0 += p_step) {
      Term& term = terms_.emplace_back();
      term.first_plane = i0;
      term.last_plane = i0 + i_step;
      // Horner: products of the highest power of two first, doubled before those of the next.
      for (std::size_t power = i_step + p_step - 1; power-- > 0;)
        for (std::size_t i = 0, first = 1; i < i_step; ++i)
          if (i <= power && power - i < p_step) {
            term.products.push_back({.plane_offset = (p0 + power - i) * plan_.layout.plane_bytes,
                                     .weight_offset = (i0 + i) * plan_.word_count * kBlock,
                                     .doubled = first != 0 && !term.products.empty()});
            first = 0;
          }
      term.bias = AlignedBuffer<float>(row_taps_.size() * column_taps_.size() * padded_outputs_);
      if (weights_.weighted || activations_.weighted) term.scales = AlignedBuffer<float>(padded_outputs_);
    }
  for (const Term& term : terms_)
    plane_terms_.push_back({.products = term.products.data(),
                            .product_count = term.products.size(),
                            .bias = term.bias.data(),
                            .scales = term.scales.size() == 0 ? nullptr : term.scales.data()});
  plan_.terms = plane_terms_.data();
  plan_.term_count = plane_terms_.size();
  tap_sums_.resize(geometry_.kernel * geometry_.kernel);
}

double BitConvolution::multiply_adds() const {
  return static_cast<double>(plan_.out_height * plan_.out_width * plan_.outputs) * window_size(geometry_);
}

void BitConvolution::pack_weights(std::span<const float> codes) {
  const std::size_t size = geometry_.channels * geometry_.kernel * geometry_.kernel;
  QTRAIN_CHECK(codes.size() == geometry_.outputs * size, "{} weight codes, expected {}", codes.size(),
               geometry_.outputs * size);
  bool binary = true;
  for (const float code : codes) {
    QTRAIN_CHECK(
        std::abs(code) <= static_cast<float>((1 << weights_.planes) - 1) && code == std::nearbyint(code),
        "weight code {}, must be an integer of {} bits", code, weights_.planes);
    binary = binary && static_cast<int>(code) % 2 != 0;
  }
  QTRAIN_CHECK(binary || !weights_.no_zeros, "a weight code is even, where all were to be odd");
  plan_.masks = binary ? nullptr : masks_.data();
  for (std::size_t o = 0; o < geometry_.outputs; ++o) {
    const auto own = codes.subspan(o * size, size);
    lookup_ ? lookup_->set_output(own, o) : pack_output(own, o, binary);
    set_bias(own, o, binary);
  }
  if (lookup_) lookup_->set_bias(terms_.front().bias.span());
}

void BitConvolution::pack_output(std::span<const float> codes, std::size_t output, bool binary) {
  const PlaneLayout& l = plan_.layout;
  const std::size_t taps = l.kernel * l.kernel, lane_bits = 8 * l.lane_bytes;
  const auto planes = static_cast<std::size_t>(weights_.planes);
  const std::uint32_t repeat = l.lane_bytes == 2 ? 0x10001 : 1;
  const std::size_t first = output / kBlock * plan_.block_size + output % kBlock;
  for (std::size_t i = 0; i < planes * plan_.word_count; ++i)
    signs_[first + i * kBlock] = masks_[first + i * kBlock] = 0;
  const float* code = codes.data();
  for (std::size_t channel = 0; channel < l.channels; ++channel) {
    const std::uint32_t bit = repeat << channel % lane_bits;
    std::size_t at = first + channel / lane_bits * kBlock;
    for (std::size_t tap = 0; tap < taps; ++tap, at += l.words * kBlock) {
      const Digits digits = digits_of(*code++, weights_.planes, binary);
      for (std::size_t i = 0; i < planes; ++i) {
        signs_[at + i * plan_.word_count * kBlock] |= bit * (digits.signs >> i & 1U);
        masks_[at + i * plan_.word_count * kBlock] |= bit * (digits.masks >> i & 1U);
      }
    }
  }
}

void BitConvolution::set_bias(std::span<const float> codes, std::size_t output, bool binary) {
  const PlaneLayout& l = plan_.layout;
  const double lowest = activations_.weighted ? -1 : activations_.lowest;
  const double indices = most(activations_.planes, activations_.weighted);
  for (Term& term : terms_) {
    std::ranges::fill(tap_sums_, 0);
    std::int64_t negative = 0;  // digits, each times its power of two
    const std::uint32_t planes = (1U << term.last_plane) - (1U << term.first_plane);
    for (std::size_t i = 0; i < codes.size();)
      for (std::int32_t& tap_sum : tap_sums_) {
        const Digits digits = digits_of(codes[i++], weights_.planes, binary);
        const auto minus = static_cast<std::int32_t>((digits.signs & planes) >> term.first_plane);
        negative += minus;
        tap_sum += static_cast<std::int32_t>((digits.masks & planes) >> term.first_plane) - 2 * minus;
      }
    for (std::size_t row = 0; row < row_taps_.size(); ++row)
      for (std::size_t column = 0; column < column_taps_.size(); ++column) {
        double inside = 0;
        for (std::size_t ky = row_taps_[row].first; ky < row_taps_[row].last; ++ky)
          for (std::size_t kx = column_taps_[column].first; kx < column_taps_[column].last; ++kx)
            inside += tap_sums_[ky * l.kernel + kx];
        const std::size_t at = (row * column_taps_.size() + column) * padded_outputs_ + output;
        term.bias[at] = static_cast<float>(lowest * inside - static_cast<double>(plan_.factor) * indices *
                                                                 static_cast<double>(negative));
      }
  }
}

void BitConvolution::set_scales(std::span<const float> alphas, std::span<const float> betas) {
  const auto weight_planes = static_cast<std::size_t>(weights_.planes);
  QTRAIN_CHECK(alphas.size() == (weights_.weighted ? weight_planes * geometry_.outputs : 0) &&
                   betas.size() == (activations_.weighted ? plan_.layout.planes : 0),
               "{} alphas and {} betas", alphas.size(), betas.size());
  const std::size_t beta_count = std::max<std::size_t>(betas.size(), 1);
  for (std::size_t t = 0; t < terms_.size(); ++t)
    for (std::size_t o = 0; o < std::min(terms_[t].scales.size(), geometry_.outputs); ++o) {
      const float alpha = alphas.empty() ? 1.0F : alphas[t / beta_count * geometry_.outputs + o];
      terms_[t].scales[o] = alpha * (betas.empty() ? 1.0F : betas[t % beta_count]);
    }
}

}  // namespace qtrain::kernels
