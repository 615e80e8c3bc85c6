#pragma once
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_set.hpp"
#include "kernels/lookup_tables.hpp"
#include "kernels/unrolled.hpp"

// Products looked up in tables, by vectors, for the sources of avx2/ and avx512/ alone, which define what is
// used here before they include it: Vector, of kLanes tables; load(), store(), zero(), repeated() of as many
// bytes as kLanes groups have, look_up(), add_bytes(), subtract_bytes(), add_shorts(), high_bytes(); half(),
// the tables of either half added until two are left; and kMostPixels, those whose sums stay in registers.
// Everything has internal linkage, so no code compiled there can serve a caller elsewhere.

namespace qtrain::kernels {
namespace {

constexpr size_t kWordBytes = 64;  ///< tables of four groups
constexpr size_t kVectorBytes = 16 * kLanes;
constexpr size_t kVectorChannels = 4 * kLanes;
constexpr size_t kOutputs = 16;  ///< of a block

/// The indices of 16 codes.
class Indices {
 public:
  explicit Indices(const TableLayout& l)
      : lowest_(_mm_set1_epi8(static_cast<char>(l.lowest))), doubled_(l.step_bits != 0) {}
  __m128i of(__m128i codes) const {
    const __m128i x = _mm_sub_epi8(codes, lowest_);
    return doubled_ ? _mm_and_si128(_mm_srli_epi16(x, 1), _mm_set1_epi8(0x7F)) : x;
  }

 private:
  __m128i lowest_;
  bool doubled_;
};

/// Makes tables of indices. With s the sum of x0 to x3, and u that of the xj whose bit of the entry is not
/// set, the entry is top * (bits set) + 2 u - s.
class TableMaker {
 public:
  explicit TableMaker(const TableLayout& l) : indices_(l) {
    unsigned char bases[kVectorBytes], places[4][kVectorBytes];
    for (size_t i = 0; i < kVectorBytes; ++i) {
      const int entry = static_cast<int>(i % 16);
      bases[i] = static_cast<unsigned char>(l.top * __builtin_popcount(static_cast<unsigned>(entry)));
      for (int j = 0; j < 4; ++j)  // a place from 128 on looks up 0
        places[j][i] =
            static_cast<unsigned char>((entry >> j & 1) != 0 ? 128 : 4 * static_cast<int>(i / 16) + j);
    }
    base_ = load(bases);
    for (size_t j = 0; j < 4; ++j) places_[j] = load(places[j]);
  }
  /// Of a pixel outside the image.
  Vector of_padding() const { return base_; }
  /// Of kVectorChannels codes.
  Vector of(const unsigned char* codes) const {
    const Vector all = repeated(indices_.of(repeatable(codes)));
    const Vector u = add_bytes(add_bytes(look_up(all, places_[0]), look_up(all, places_[1])),
                               add_bytes(look_up(all, places_[2]), look_up(all, places_[3])));
    return subtract_bytes(add_bytes(base_, add_bytes(u, u)), look_up(u, zero()));
  }

 private:
  Indices indices_;
  Vector base_, places_[4];
};

inline void copy_codes(const unsigned char* from, size_t count, unsigned char* to) {
  __builtin_memcpy(to, from, count);
}
inline void copy_codes(const float* from, size_t count, unsigned char* to) {
  for (size_t i = 0; i < count; ++i) to[i] = static_cast<unsigned char>(static_cast<int>(from[i]));
}
inline const unsigned char* bytes_at(const unsigned char* codes, unsigned char* /*room*/) { return codes; }
inline const unsigned char* bytes_at(const float* codes, unsigned char* room) {
  copy_codes(codes, kVectorChannels, room);
  return room;
}

/// The tables of `count` codes, filled up with those of index 0 to so many vectors.
template <class Maker, class Code>
[[gnu::always_inline]] inline void pack_codes(const TableLayout& l, const Maker& maker, const Code* codes,
                                              size_t count, size_t vectors, unsigned char* tables) {
  unsigned char room[kVectorChannels];
  const size_t whole = count / kVectorChannels;
  for (size_t i = 0; i < whole; ++i)
    store(tables + i * kVectorBytes, maker.of(bytes_at(codes + i * kVectorChannels, room)));
  for (size_t i = whole; i < vectors; ++i) {
    const size_t done = i * kVectorChannels;
    __builtin_memset(room, l.lowest, sizeof room);
    if (done < count) copy_codes(codes + done, count - done, room);
    store(tables + i * kVectorBytes, maker.of(room));
  }
}

/// A row of pixels: one run of codes where they fill their words.
template <class Maker, class Code>
void pack_row(const TableLayout& l, const Maker& maker, const Code* codes, size_t width,
              unsigned char* tables) {
  const size_t vectors = l.column_bytes / kVectorBytes;
  if (l.channels == vectors * kVectorChannels)
    return pack_codes(l, maker, codes, width * l.channels, width * vectors, tables);
  for (size_t x = 0; x < width; ++x, codes += l.channels, tables += l.column_bytes)
    pack_codes(l, maker, codes, l.channels, vectors, tables);
}

template <class Maker>
void pad(const Maker& maker, size_t bytes, unsigned char* tables) {
  for (size_t i = 0; i < bytes; i += kVectorBytes) store(tables + i, maker.of_padding());
}

template <class Maker, class Code>
void pack_tables(const TableLayout& l, const Code* codes, size_t images, unsigned char* tables) {
  const Maker maker(l);
  const size_t width = l.width + l.padding < l.columns ? l.width : l.columns - l.padding;
  for (size_t image = 0; image < images; ++image, codes += l.height * l.width * l.channels)
    for (size_t row = 0; row < l.rows; ++row, tables += l.row_bytes) {
      const size_t y = row - l.padding;  // beyond the image if negative
      if (y >= l.height) {
        pad(maker, l.row_bytes, tables);
        continue;
      }
      pad(maker, l.padding * l.column_bytes, tables);
      pack_row(l, maker, codes + y * l.width * l.channels, width, tables + l.padding * l.column_bytes);
      const size_t done = (l.padding + width) * l.column_bytes;
      pad(maker, l.row_bytes - done, tables + done);
    }
}

/// What the tiles of a row and a block of outputs share.
struct LookupRow {
  const size_t* word_offsets;
  size_t word_count, words;  ///< of a window; those whose lookups a byte holds
  size_t step;               ///< bytes from an output pixel's corner to the next one's
  const unsigned char* entries;
  const int16_t* bias;  ///< of the row's class
  const size_t* column_classes;
  __m128i shift;
  size_t outputs, block_outputs;  ///< those that there are
};

inline void write(short* dst, __m256i r) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), r); }
inline void write(float* dst, __m256i r) {
  _mm256_storeu_ps(dst, _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(r))));
  _mm256_storeu_ps(dst + 8, _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(r, 1))));
}
template <class Value>
[[gnu::noinline]] void write_some(Value* dst, __m256i r, size_t count) {
  Value all[kOutputs];
  write(all, r);
  for (size_t i = 0; i < count; ++i) dst[i] = all[i];
}

/// The 16-bit sums of kPixels pixels from `corner` on. Bytes of odd outputs, the upper halves of 16 bits, are
/// added up by themselves and in `all`, which wraps around and gives those of even outputs in the end.
template <size_t kPixels>
[[gnu::always_inline]] inline void add_entries(const LookupRow& row, const unsigned char* corner,
                                               Vector (&all)[kPixels], Vector (&odd)[kPixels]) {
  constexpr size_t kParts = kWordBytes / kVectorBytes;
  for_each_index<kPixels>([&](auto p)
                              __attribute__((always_inline)) { all[p.value] = odd[p.value] = zero(); });
  const size_t *offsets = row.word_offsets, word_count = row.word_count, words = row.words, step = row.step;
  const unsigned char* entries = row.entries;
  for (size_t k = 0; k < word_count;) {
    const size_t end = word_count - k < words ? word_count : k + words;
    Vector sums[kPixels];
    const auto take = [&](size_t part, bool first) __attribute__((always_inline)) {
      const Vector entry = load(entries + k * kWordBytes + part * kVectorBytes);
      const unsigned char* at = corner + offsets[k] + part * kVectorBytes;
      for_each_index<kPixels>([&](auto p) __attribute__((always_inline)) {
        const Vector found = look_up(load(at + p.value * step), entry);
        sums[p.value] = first ? found : add_bytes(sums[p.value], found);
      });
    };
    take(0, true);
    for_each_index<kParts - 1>([&](auto part)
                                   __attribute__((always_inline)) { take(part.value + 1, false); });
    while (++k < end)
      for_each_index<kParts>([&](auto part) __attribute__((always_inline)) { take(part.value, false); });
    for_each_index<kPixels>([&](auto p) __attribute__((always_inline)) {
      all[p.value] = add_shorts(all[p.value], sums[p.value]);
      odd[p.value] = add_shorts(odd[p.value], high_bytes(sums[p.value]));
    });
  }
}

/// kPixels output pixels from column x on.
template <size_t kPixels, class Value>
void lookup_tile(const LookupRow& row, const unsigned char* corner, size_t x, Value* dst) {
  Vector all[kPixels], odd[kPixels];
  add_entries(row, corner, all, odd);
  const size_t* classes = row.column_classes + x;
  const size_t outputs = row.outputs;
  for_each_index<kPixels>([&](auto p) __attribute__((always_inline)) {
    const __m256i high = half(odd[p.value]);
    const __m256i low = _mm256_sub_epi16(half(all[p.value]), _mm256_slli_epi16(high, 8));
    const __m256i sums = _mm256_add_epi16(_mm256_permute2x128_si256(low, high, 0x20),
                                          _mm256_permute2x128_si256(low, high, 0x31));
    const auto* bias = reinterpret_cast<const __m256i*>(row.bias + classes[p.value]);
    const __m256i r = _mm256_add_epi16(_mm256_sll_epi16(sums, row.shift), _mm256_loadu_si256(bias));
    if (row.block_outputs == kOutputs)
      write(dst + p.value * outputs, r);
    else
      write_some(dst + p.value * outputs, r, row.block_outputs);
  });
}

/// Blocks of outputs innermost: they read the same tables.
template <class Value>
void convolve_row(const TablePlan& plan, const unsigned char* corner, const size_t row_class, Value* dst) {
  const size_t lookups = kWordBytes / kVectorBytes;
  const size_t tiles = (plan.out_width + kMostPixels - 1) / kMostPixels;
  LookupRow row{.word_offsets = plan.word_offsets,
                .word_count = plan.word_count,
                .words = plan.byte_lookups / lookups,
                .step = plan.stride * plan.layout.column_bytes,
                .entries = nullptr,
                .bias = nullptr,
                .column_classes = plan.column_classes,
                .shift = _mm_cvtsi32_si128(plan.layout.step_bits),
                .outputs = plan.outputs,
                .block_outputs = 0};
  for (size_t tile = 0, x = 0; tile < tiles; ++tile) {
    const size_t pixels = (plan.out_width - x + tiles - tile - 1) / (tiles - tile);
    for (size_t o = 0; o < plan.outputs; o += kOutputs) {
      row.entries = plan.entries + o * plan.word_count * (kWordBytes / kOutputs);
      row.bias = plan.bias + row_class + o;
      row.block_outputs = plan.outputs - o < kOutputs ? plan.outputs - o : kOutputs;
      for_each_index<kMostPixels>([&](auto p) {
        constexpr size_t kPixels = decltype(p)::value + 1;
        if (pixels == kPixels)
          lookup_tile<kPixels>(row, corner + x * row.step, x, dst + x * plan.outputs + o);
      });
    }
    x += pixels;
  }
}

template <class Value>
void table_convolution(const TablePlan& plan, const unsigned char* tables, size_t images, size_t first_row,
                       size_t last_row, Value* dst) {
  const size_t row_size = plan.out_width * plan.outputs;
  for (size_t image = 0; image < images; ++image)
    for (size_t y = first_row; y < last_row; ++y)
      convolve_row(plan, tables + image * plan.layout.image_bytes + y * plan.stride * plan.layout.row_bytes,
                   plan.row_classes[y], dst + (image * plan.out_height + y - first_row) * row_size);
}

template <class Maker>
void fill(Kernels& set) {
  set.pack_byte_tables = pack_tables<Maker, unsigned char>;
  set.pack_float_tables = pack_tables<Maker, float>;
  set.table_convolution = table_convolution<float>;
  set.table_convolution_shorts = table_convolution<short>;
}

}  // namespace
}  // namespace qtrain::kernels
