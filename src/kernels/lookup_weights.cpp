#include "kernels/lookup_weights.hpp"

#include <algorithm>

namespace qtrain::kernels {

namespace {

constexpr std::size_t kGroup = 4;          ///< channels of a table
constexpr std::size_t kEntries = 16;       ///< of a table
constexpr std::size_t kWordChannels = 16;  ///< of four tables
constexpr std::size_t kWordBytes = 64;
constexpr std::size_t kBlock = 16;  ///< outputs
constexpr int kMostOfByte = 255;

std::size_t words_of(std::size_t channels) { return (channels + kWordChannels - 1) / kWordChannels; }

}  // namespace

LookupWeights::LookupWeights(const ConvolutionGeometry& g, int lowest, int step, int top,
                             const std::size_t* row_classes, const std::size_t* column_classes,
                             std::size_t biases)
    : kernel_(g.kernel), bias_(biases) {
  TableLayout& l = plan_.layout;
  l.height = g.height;
  l.width = g.width;
  l.channels = g.channels;
  l.lowest = lowest;
  l.step_bits = step - 1;
  l.top = top;
  l.padding = g.padding;
  plan_.stride = g.stride;
  plan_.out_height = g.out_height();
  plan_.out_width = g.out_width();
  plan_.outputs = g.outputs;
  l.rows = (plan_.out_height - 1) * g.stride + g.kernel;
  l.columns = std::max((plan_.out_width - 1) * g.stride + g.kernel, g.padding);
  l.column_bytes = words_of(g.channels) * kWordBytes;
  l.row_bytes = l.columns * l.column_bytes;
  l.image_bytes = l.rows * l.row_bytes;
  for (std::size_t ky = 0; ky < g.kernel; ++ky)
    for (std::size_t kx = 0; kx < g.kernel; ++kx)
      for (std::size_t word = 0; word < words_of(g.channels); ++word)
        offsets_.push_back(ky * l.row_bytes + kx * l.column_bytes + word * kWordBytes);
  plan_.word_offsets = offsets_.data();
  plan_.word_count = offsets_.size();
  plan_.byte_lookups = static_cast<std::size_t>(kMostOfByte / (static_cast<int>(kGroup) * top));
  const std::size_t blocks = (g.outputs + kBlock - 1) / kBlock;
  entries_ = AlignedBuffer<unsigned char>(blocks * plan_.word_count * kWordBytes);
  plan_.entries = entries_.data();
  plan_.bias = bias_.data();
  plan_.row_classes = row_classes;
  plan_.column_classes = column_classes;
}

void LookupWeights::set_output(std::span<const float> codes, std::size_t output) {
  const std::size_t within = output % kBlock, taps = kernel_ * kernel_;
  const std::size_t place = within < kBlock / 2 ? 2 * within : 2 * (within - kBlock / 2) + 1;
  unsigned char* own = entries_.data() + output / kBlock * plan_.word_count * kWordBytes + place;
  for (std::size_t i = 0; i < plan_.word_count * kWordBytes; i += kEntries) own[i] = 0;
  const float* code = codes.data();
  for (std::size_t channel = 0; channel < plan_.layout.channels; ++channel) {
    const auto bit = static_cast<unsigned char>(1U << channel % kGroup);
    unsigned char* at = own + channel / kGroup * kEntries;
    for (std::size_t tap = 0; tap < taps; ++tap, at += plan_.layout.column_bytes)
      if (*code++ < 0) *at |= bit;
  }
}

void LookupWeights::set_bias(std::span<const float> bias) {
  std::ranges::transform(bias, bias_.data(), [](float b) { return static_cast<std::int16_t>(b); });
}

}  // namespace qtrain::kernels
