#include "dist/weight_message.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <unordered_map>

#include "base/cast.hpp"
#include "base/error.hpp"
#include "quant/gradient.hpp"

namespace qtrain::dist {
namespace {

constexpr std::size_t kLargestTable = 256;
constexpr int kFloats = 32;

/// The different codes, by their bits (so that zeros of both signs stay what they are), and each one's
/// number.
class Table {
 public:
  /// False when there are too many.
  bool fill(std::span<const float> codes) {
    for (const float code : codes) {
      if (numbers_.try_emplace(std::bit_cast<std::uint32_t>(code), values.size()).second)
        values.push_back(code);
      if (values.size() > kLargestTable) return false;
    }
    return !values.empty();
  }
  std::uint32_t number(float code) {
    const auto bits = std::bit_cast<std::uint32_t>(code);
    if (bits != last_bits_) {
      last_number_ = narrow<std::uint32_t>(numbers_.at(bits));
      last_bits_ = bits;
    }
    return last_number_;
  }
  int width() const { return static_cast<int>(std::bit_width(values.size() - 1)); }

  std::vector<float> values;

 private:
  std::unordered_map<std::uint32_t, std::size_t> numbers_;
  std::uint32_t last_bits_ = ~0U, last_number_ = 0;  // a NaN, which no code is
};

void append(std::vector<std::byte>& message, const void* bytes, std::size_t size) {
  const auto* first = static_cast<const std::byte*>(bytes);
  message.insert(message.end(), first, first + size);
}

class Cursor {
 public:
  Cursor(std::span<const std::byte> message, std::size_t& position)
      : message_(message), position_(position) {}
  std::span<const std::byte> take(std::size_t size) {
    QTRAIN_CHECK(size <= message_.size() - position_, "a message of {} bytes ends within a tensor",
                 message_.size());
    position_ += size;
    return message_.subspan(position_ - size, size);
  }
  template <class T>
  T value() {
    T result{};
    std::memcpy(&result, take(sizeof result).data(), sizeof result);
    return result;
  }
  void floats(std::span<float> values) {
    if (!values.empty()) std::memcpy(values.data(), take(values.size_bytes()).data(), values.size_bytes());
  }

 private:
  std::span<const std::byte> message_;
  std::size_t& position_;
};

}  // namespace

void append_weights(std::span<const float> codes, std::span<const float> scales,
                    std::vector<std::byte>& message) {
  Table table;
  const bool packed = table.fill(codes);
  const auto width = static_cast<std::uint8_t>(packed ? table.width() : kFloats);
  const auto scale_count = narrow<std::uint32_t>(scales.size());
  append(message, &width, sizeof width);
  append(message, &scale_count, sizeof scale_count);
  append(message, scales.data(), scales.size_bytes());
  if (!packed) return append(message, codes.data(), codes.size_bytes());
  const auto last = static_cast<std::uint8_t>(table.values.size() - 1);
  append(message, &last, sizeof last);
  append(message, table.values.data(), table.values.size() * sizeof(float));
  const std::size_t begin = message.size();
  message.resize(begin + quant::packed_bytes(codes.size(), width));
  quant::BitWriter out({message.data() + begin, message.size() - begin});
  for (const float code : codes) out.put(table.number(code), width);
}

void read_weights(std::span<const std::byte> message, std::size_t& position, std::span<float> w) {
  Cursor in(message, position);
  const int width = in.value<std::uint8_t>();
  std::vector<float> scales(in.value<std::uint32_t>());
  in.floats(scales);
  if (width == kFloats) {
    in.floats(w);
  } else {
    std::vector<float> table(in.value<std::uint8_t>() + std::size_t{1});
    in.floats(table);
    quant::BitReader numbers(in.take(quant::packed_bytes(w.size(), width)));
    for (float& value : w) {
      const std::size_t number = numbers.get(width);
      QTRAIN_CHECK(number < table.size(), "number {} of a table of {}", number, table.size());
      value = table[number];
    }
  }
  QTRAIN_CHECK(!scales.empty() && w.size() % scales.size() == 0, "{} scales for {} weights", scales.size(),
               w.size());
  const std::size_t row = w.size() / scales.size();
  for (std::size_t i = 0; i < w.size(); ++i) w[i] *= scales[i / std::max<std::size_t>(row, 1)];
}

}  // namespace qtrain::dist
