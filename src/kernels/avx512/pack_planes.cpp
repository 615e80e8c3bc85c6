#include "kernels/avx512/vector.hpp"
#include "kernels/pack_rows.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx512 {
namespace {

/// Up to 64 bytes; plane(p) has the bits p of their indices.
struct ByteGroup {
  __m512i indices;
  const __m512i* bits;  ///< 1 << (p + step_bits) in every byte
  __mmask64 valid;
  __mmask64 plane(size_t p) const { return _mm512_mask_test_epi8_mask(valid, indices, bits[p]); }
};

struct WholeByteGroup {
  __m512i indices;
  const __m512i* bits;
  __mmask64 plane(size_t p) const { return _mm512_test_epi8_mask(indices, bits[p]); }
};

/// 16 codes, the bits of a word of 2 bytes, are a quarter of a vector.
template <class Group>
Phases<Group> split(const Group& first, const Group& second, size_t lane_bytes) {
  Group even = first, odd = first;
  const __m512i x = first.indices, y = second.indices;
  even.indices = lane_bytes == 2 ? _mm512_shuffle_i64x2(x, y, 0x88) : _mm512_shuffle_i64x2(x, y, 0x44);
  odd.indices = lane_bytes == 2 ? _mm512_shuffle_i64x2(x, y, 0xDD) : _mm512_shuffle_i64x2(x, y, 0xEE);
  return {even, odd};
}

/// What codes as bytes and as floats share.
struct Indices {
  __m512i lowest;
  __m512i bits[8];
  explicit Indices(const PlaneLayout& l) : lowest(_mm512_set1_epi8(static_cast<char>(l.lowest))) {
    for (size_t p = 0; p < l.planes; ++p)
      bits[p] = _mm512_set1_epi8(static_cast<char>(1 << (p + static_cast<size_t>(l.step_bits))));
  }
  ByteGroup group(__m512i codes, __mmask64 valid) const {
    return {_mm512_sub_epi8(codes, lowest), bits, valid};
  }
};

struct Bytes {
  const unsigned char* codes;
  Indices indices;
  WholeByteGroup load(size_t i) const {
    return {_mm512_sub_epi8(_mm512_loadu_si512(codes + i), indices.lowest), indices.bits};
  }
  ByteGroup load(size_t i, size_t count) const {
    const __mmask64 valid = first_bits(count);
    return indices.group(_mm512_maskz_loadu_epi8(valid, codes + i), valid);
  }
};

/// Sixteen of a group's `count` floats, from the kWidth * quarter-th on.
inline __m512 load_quarter(const float* x, size_t count, size_t quarter) {
  const size_t before = kWidth * quarter;
  return _mm512_maskz_loadu_ps(first_lanes(count > before ? count - before : 0).lanes, x + before);
}

struct Floats {
  const float* codes;
  Indices indices;
  ByteGroup load(size_t i) const { return load(i, kGroup); }
  ByteGroup load(size_t i, size_t count) const {
    const auto bytes = [&](size_t quarter) {
      return _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(load_quarter(codes + i, count, quarter)));
    };
    const __m256i low = _mm256_set_m128i(bytes(1), bytes(0)), high = _mm256_set_m128i(bytes(3), bytes(2));
    return indices.group(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1), first_bits(count));
  }
};

void pack_bytes(const PlaneLayout& l, const unsigned char* codes, size_t images, unsigned char* planes) {
  pack(l, Bytes{codes, Indices(l)}, images, planes);
}

void pack_floats(const PlaneLayout& l, const float* codes, size_t images, unsigned char* planes) {
  pack(l, Floats{codes, Indices(l)}, images, planes);
}

}  // namespace

void fill_pack_planes(Kernels& set) {
  set.pack_bytes = pack_bytes;
  set.pack_floats = pack_floats;
}

}  // namespace qtrain::kernels::avx512
