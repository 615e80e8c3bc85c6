#include "quant/gradient.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.hpp"
#include "quant/table.hpp"

namespace qtrain::quant {

namespace gradients {
#define GRADIENT(name) GradientMethod read_##name(spec::Reader& keys);
#include "quant/gradients/methods.def"
#undef GRADIENT
}  // namespace gradients

namespace {

constexpr GradientEntry kMethods[] = {
#define GRADIENT(name) {#name, &gradients::read_##name},
#include "quant/gradients/methods.def"
#undef GRADIENT
};

/// Keys beside `none` mean nothing, but for `decay`; they may have their defaults, as in a resolved spec.
void refuse_beside_none(spec::Reader& keys, const GradientSpec& spec) {
  constexpr const char* kSentence = "is {}, but no gradient is quantized: must be {}";
  if (spec.clip > 0) keys.mistake("clip", fmt::format(kSentence, spec.clip, 0));
  if (spec.biases) keys.mistake("biases", fmt::format(kSentence, true, false));
  if (spec.smallest > 1) keys.mistake("smallest", fmt::format(kSentence, spec.smallest, 1));
}

}  // namespace

std::span<const GradientEntry> gradient_methods() { return kMethods; }

void GradientQuantizer::combine(std::span<float> sum, float weight) const {
  for (float& value : sum) value /= weight;
}

void GradientSpec::read(spec::Reader keys) {
  const GradientEntry* entry = pick(keys, "method", method, gradient_methods(),
                                    "how gradients are quantized before the optimizer's step", {"none"});
  if (entry == nullptr) keys.drop_left_over({"clip", "biases", "smallest"});
  keys.field("clip", clip, spec::non_negative,
             "gradients cut to this many standard deviations of their tensor first; 0: not at all");
  keys.field("biases", biases, "quantize gradients of biases too; those of batch norm stay floats");
  keys.field("smallest", smallest, spec::at_least(1), "tensors with fewer values than this stay floats");
  keys.field(
      "decay", decay,
      "workers add weight decay, of the weights in use, before they quantize; else it is the optimizer's");
  make = {};
  if (entry != nullptr) make = entry->read(keys);
  if (entry == nullptr && !keys.names_unknown()) refuse_beside_none(keys, *this);
  if (make.propagated && (clip > 0 || biases || smallest > 1))
    keys.mistake("method", fmt::format("is {}, which quantizes gradients of activations: clip, biases and "
                                       "smallest must be left out",
                                       method));
  keys.finish();
}

void clip_gradient(double c, std::span<float> g) {
  if (c == 0 || g.empty()) return;
  double sum = 0, squares = 0;
  for (const float value : g) sum += static_cast<double>(value);
  const double mean = sum / static_cast<double>(g.size());
  for (const float value : g)
    squares += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean);
  const auto limit = static_cast<float>(c * std::sqrt(squares / static_cast<double>(g.size())));
  for (float& value : g) value = std::clamp(value, -limit, limit);
}

float largest_gradient(std::span<const float> g) {
  float largest = 0;
  for (const float value : g) largest = std::max(largest, std::abs(value));
  return largest;
}

StochasticLevel stochastic_level(float g, float scale, int top) {
  if (scale == 0) return {};
  const double x = std::min(std::abs(static_cast<double>(g)) / static_cast<double>(scale) * top, double(top));
  const int below = std::min(static_cast<int>(x), top - 1);
  return {.below = below, .up = x - below};
}

BitWriter::BitWriter(std::span<std::byte> bytes) : bytes_(bytes) { std::ranges::fill(bytes, std::byte{0}); }

void BitWriter::put(std::uint32_t value, int width) {
  pending_ |= static_cast<std::uint64_t>(value) << count_;
  for (count_ += width; count_ >= 8; count_ -= 8, pending_ >>= 8)
    bytes_[byte_++] = static_cast<std::byte>(pending_ & 0xFFU);
  if (count_ > 0) bytes_[byte_] = static_cast<std::byte>(pending_);
}

std::uint32_t BitReader::get(int width) {
  for (; count_ < width; count_ += 8) pending_ |= std::to_integer<std::uint64_t>(bytes_[byte_++]) << count_;
  const auto value = static_cast<std::uint32_t>(pending_ & ((std::uint64_t{1} << width) - 1));
  pending_ >>= width;
  count_ -= width;
  return value;
}

std::size_t packed_bytes(std::size_t count, int width) {
  return (count * static_cast<std::size_t>(width) + 7) / 8;
}

void put_levels(std::span<const float> g, float scale, int top, int width, RandomStream& random,
                BitWriter& out) {
  for (const float value : g) {
    const StochasticLevel level = stochastic_level(value, scale, top);
    // One draw a value, needed or not, so that a value's number does not depend on those before.
    const bool up = static_cast<double>(random.uniform()) < level.up;
    const auto code = static_cast<std::uint32_t>(level.below + (up ? 1 : 0));
    const std::uint32_t sign = value < 0 ? 1U : 0U;
    out.put(code == 0 ? 0U : code | sign << (width - 1), width);
  }
}

void get_levels(BitReader& in, float scale, int top, int width, std::span<float> g) {
  const std::uint32_t sign = 1U << (width - 1);
  for (float& value : g) {
    const std::uint32_t code = in.get(width);
    const auto magnitude = static_cast<float>(code & (sign - 1)) / static_cast<float>(top) * scale;
    value = (code & sign) != 0 ? -magnitude : magnitude;
  }
}

void put_signs(std::span<const float> g, std::span<std::byte> bits) {
  BitWriter out(bits);
  for (const float value : g) out.put(value < 0 ? 0U : 1U, 1);
}

void get_signs(std::span<const std::byte> bits, float scale, std::span<float> g) {
  BitReader in(bits);
  for (float& value : g) value = in.get(1) != 0 ? scale : -scale;
}

void put_scale(float scale, std::span<std::byte> message) {
  QTRAIN_CHECK(message.size() >= sizeof scale, "a message of {} bytes", message.size());
  std::memcpy(message.data(), &scale, sizeof scale);
}

float get_scale(std::span<const std::byte> message) {
  float scale = 0;
  QTRAIN_CHECK(message.size() >= sizeof scale, "a message of {} bytes", message.size());
  std::memcpy(&scale, message.data(), sizeof scale);
  return scale;
}

}  // namespace qtrain::quant
