#include <immintrin.h>

#include "kernels/pack_rows.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx2 {
namespace {

/// Groups made by read(64 codes, which of them are valid).
template <class Code, class Read>
struct Source {
  const Code* codes;
  Read read;
  Source(const Code* x, const Read& r) : codes(x), read(r) {}

  auto load(size_t i) const { return read(codes + i, ~GroupBits{0}); }
  auto load(size_t i, size_t count) const {
    if (count == kGroup) return load(i);
    Code padded[kGroup] = {};
    __builtin_memcpy(padded, codes + i, count * sizeof(Code));
    return read(padded, first_bits(count));
  }
};

/// The highest bit of each byte.
inline GroupBits top_bits(__m256i bytes) { return static_cast<unsigned int>(_mm256_movemask_epi8(bytes)); }

struct ByteGroup {
  __m256i low, high;  ///< index << step_bits of each code
  int step_bits;
  GroupBits valid;
  GroupBits plane(size_t p) const {
    const __m128i shift = _mm_cvtsi32_si128(7 - step_bits - static_cast<int>(p));
    return (top_bits(_mm256_sll_epi16(low, shift)) | top_bits(_mm256_sll_epi16(high, shift)) << 32) & valid;
  }
};

/// 16 codes, the bits of a word of 2 bytes, are half a vector.
Phases<ByteGroup> split(const ByteGroup& first, const ByteGroup& second, size_t lane_bytes) {
  Phases<ByteGroup> all{first, first};
  if (lane_bytes == 2) {
    all.even.low = _mm256_permute2x128_si256(first.low, first.high, 0x20);
    all.even.high = _mm256_permute2x128_si256(second.low, second.high, 0x20);
    all.odd.low = _mm256_permute2x128_si256(first.low, first.high, 0x31);
    all.odd.high = _mm256_permute2x128_si256(second.low, second.high, 0x31);
  } else {
    all.even.high = second.low;
    all.odd.low = first.high;
    all.odd.high = second.high;
  }
  return all;
}

void pack_bytes(const PlaneLayout& l, const unsigned char* codes, size_t images, unsigned char* planes) {
  const __m256i lowest = _mm256_set1_epi8(static_cast<char>(l.lowest));
  const auto indices = [=](const unsigned char* x) {
    return _mm256_sub_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)), lowest);
  };
  const auto read = [=, &l](const unsigned char* x, GroupBits valid) {
    return ByteGroup{indices(x), indices(x + 32), l.step_bits, valid};
  };
  pack(l, Source(codes, read), images, planes);
}

void pack_floats(const PlaneLayout& l, const float* codes, size_t images, unsigned char* planes) {
  const __m256i lowest = _mm256_set1_epi32(l.lowest), byte = _mm256_set1_epi32(0xFF);
  const auto eight = [=](const float* x) {
    return _mm256_and_si256(_mm256_sub_epi32(_mm256_cvttps_epi32(_mm256_loadu_ps(x)), lowest), byte);
  };
  const auto indices = [=](const float* x) {
    // Packing keeps to the halves of vectors: fours from 0, 8, 16, 24 on, then from 4, 12, 20, 28.
    const __m256i fours = _mm256_packus_epi16(_mm256_packs_epi32(eight(x), eight(x + 8)),
                                              _mm256_packs_epi32(eight(x + 16), eight(x + 24)));
    return _mm256_permutevar8x32_epi32(fours, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  };
  const auto read = [=, &l](const float* x, GroupBits valid) {
    return ByteGroup{indices(x), indices(x + 32), l.step_bits, valid};
  };
  pack(l, Source(codes, read), images, planes);
}

}  // namespace

void fill_pack_planes(Kernels& set) {
  set.pack_bytes = pack_bytes;
  set.pack_floats = pack_floats;
}

}  // namespace qtrain::kernels::avx2
