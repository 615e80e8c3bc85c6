#pragma once
#include "kernels/avx512/lanes.hpp"

namespace qtrain::kernels::avx512 {
namespace {

/// As reference::round_bfloat16, before the upper half is taken. The instruction for it, vcvtneps2bf16, takes
/// denormals for 0.
inline __m512i rounded(__m512 value) {
  const __m512i bits = _mm512_castps_si512(value);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i sum = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(sum, nan, bits, _mm512_set1_epi32(0x400000));
}

/// The floats that 16 bfloat16 are.
inline __m512 widened(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/// The upper halves of 16 values.
inline __m256i upper_halves(__m512i bits) { return _mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16)); }

}  // namespace
}  // namespace qtrain::kernels::avx512
