#include "dist/weight_message.hpp"

#include <cstdint>
#include <cstring>
#include <utility>

#include "base/cast.hpp"
#include "base/error.hpp"
#include "quant/gradient.hpp"
#include "quant/packed_weights.hpp"

namespace qtrain::dist {
namespace {

constexpr int kFloats = 32;

void append(std::vector<std::byte>& message, const void* bytes, std::size_t size) {
  const auto* first = static_cast<const std::byte*>(bytes);
  message.insert(message.end(), first, first + size);
}

class Cursor {
 public:
  Cursor(std::span<const std::byte> message, std::size_t& position)
      : message_(message), position_(position) {}
  std::span<const std::byte> take(std::size_t size) {
    if (size > message_.size() - position_)
      fail(ExitCode::failed, "a message of {} bytes with weights ends too early", message_.size());
    position_ += size;
    return message_.subspan(position_ - size, size);
  }
  template <class T>
  T value() {
    T result{};
    std::memcpy(&result, take(sizeof result).data(), sizeof result);
    return result;
  }
  std::vector<float> floats(std::size_t count) {
    const std::span<const std::byte> bytes = take(count * sizeof(float));
    std::vector<float> values(count);
    if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

 private:
  std::span<const std::byte> message_;
  std::size_t& position_;
};

}  // namespace

void append_weights(std::span<const float> codes, std::span<const float> scales, std::size_t rows,
                    std::vector<std::byte>& message) {
  const quant::PackedWeights packed = quant::pack_weights(codes, scales, rows);
  const auto bits = static_cast<std::uint8_t>(packed.bits);
  append(message, &bits, sizeof bits);
  for (const std::size_t count : {packed.scales.size(), packed.levels.size()}) {
    const auto short_count = narrow<std::uint32_t>(count);
    append(message, &short_count, sizeof short_count);
  }
  append(message, packed.scales.data(), packed.scales.size() * sizeof(float));
  append(message, packed.levels.data(), packed.levels.size() * sizeof(float));
  append(message, packed.numbers.data(), packed.numbers.size());
}

void read_weights(std::span<const std::byte> message, std::size_t& position, std::size_t rows,
                  std::span<float> codes, std::vector<float>& scales) {
  Cursor in(message, position);
  quant::PackedWeights packed;
  packed.bits = in.value<std::uint8_t>();
  const std::size_t scale_count = in.value<std::uint32_t>(), level_count = in.value<std::uint32_t>();
  packed.scales = in.floats(scale_count);
  packed.levels = in.floats(level_count);
  if (packed.bits != kFloats) {
    const std::span<const std::byte> numbers = in.take(quant::packed_bytes(codes.size(), packed.bits));
    packed.numbers.assign(numbers.begin(), numbers.end());
  }
  quant::unpack_codes(packed, rows, codes);
  scales = std::move(packed.scales);
}

}  // namespace qtrain::dist
