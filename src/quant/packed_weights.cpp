#include "quant/packed_weights.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <unordered_map>

#include "base/cast.hpp"
#include "base/error.hpp"
#include "quant/gradient.hpp"

namespace qtrain::quant {
namespace {

constexpr std::size_t kLargestTable = 256;
constexpr int kFloats = 32;

/// The different codes, by their bits (zeros of both signs stay what they are), and each one's number.
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

std::size_t bytes_of(int bits, std::size_t levels, std::size_t size) {
  return levels * sizeof(float) + (bits == kFloats ? 0 : packed_bytes(size, bits));
}

/// A table a row in place of what `packed` holds; false where a row has too many codes, or nothing is saved.
bool pack_rows(std::span<const float> codes, std::size_t rows, PackedWeights& packed) {
  if (rows < 2) return false;
  const std::size_t size = codes.size() / rows;
  std::vector<Table> tables(rows);
  int bits = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    if (!tables[row].fill(codes.subspan(row * size, size))) return false;
    bits = std::max(bits, tables[row].width());
  }
  const std::size_t table = std::size_t{1} << bits;
  if (bytes_of(bits, rows * table, codes.size()) >= bytes_of(packed.bits, packed.levels.size(), codes.size()))
    return false;
  packed.bits = bits;
  packed.levels.clear();
  packed.numbers.assign(packed_bytes(codes.size(), bits), std::byte{0});
  BitWriter out(packed.numbers);
  for (std::size_t row = 0; row < rows; ++row) {
    for (const float code : codes.subspan(row * size, size)) out.put(tables[row].number(code), bits);
    tables[row].values.resize(table);
    packed.levels.insert(packed.levels.end(), tables[row].values.begin(), tables[row].values.end());
  }
  return true;
}

void require(bool condition) {
  if (!condition)
    fail(ExitCode::data, "packed weights do not fit their tensor: the file or message is damaged");
}

}  // namespace

PackedWeights pack_weights(std::span<const float> codes, std::span<const float> scales, std::size_t rows) {
  PackedWeights packed;
  packed.scales.assign(scales.begin(), scales.end());
  Table table;
  const bool common = table.fill(codes);
  if (common) {
    packed.bits = table.width();
    packed.levels = table.values;
  } else {
    packed.levels.assign(codes.begin(), codes.end());
  }
  // Up to 4 bits are codes of one alphabet: a table a row is not worth looking for.
  if (packed.bits > 4 && pack_rows(codes, rows, packed)) return packed;
  if (!common) return packed;
  packed.numbers.resize(packed_bytes(codes.size(), packed.bits));
  BitWriter out(packed.numbers);
  for (const float code : codes) out.put(table.number(code), packed.bits);
  return packed;
}

void unpack_codes(const PackedWeights& packed, std::size_t rows, std::span<float> codes) {
  if (codes.empty()) return;
  const std::size_t scales = packed.scales.size(), levels = packed.levels.size();
  require(rows > 0 && codes.size() % rows == 0 && (scales == 1 || scales == rows));
  const std::size_t row = codes.size() / rows;
  if (packed.bits == kFloats) {
    require(levels == codes.size());
    std::ranges::copy(packed.levels, codes.begin());
  } else {
    require(packed.bits >= 0 && packed.bits <= 8 &&
            packed.numbers.size() == packed_bytes(codes.size(), packed.bits));
    const std::size_t table = std::size_t{1} << packed.bits;
    const bool a_row = levels > table;
    require(!a_row || levels == rows * table);
    BitReader in(packed.numbers);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const std::size_t number = in.get(packed.bits) + (a_row ? i / row * table : 0);
      require(number < levels);
      codes[i] = packed.levels[number];
    }
  }
}

}  // namespace qtrain::quant
