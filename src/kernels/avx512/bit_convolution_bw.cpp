#include "kernels/avx512/bit_tiles.hpp"

namespace qtrain::kernels::avx512 {
namespace {

/// For CPUs with AVX-512 BW but without popcounts of lanes: VPSHUFB looks up those of the eight halves of
/// bytes (Mula), and multiply-adds of pairs sum them.
struct LookedUpCounts {
  static __m512i of_bytes(__m512i bits) {
    const __m512i counts =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i low = _mm512_set1_epi8(0x0F);
    const __m512i high_counts =
        _mm512_shuffle_epi8(counts, _mm512_and_si512(_mm512_srli_epi32(bits, 4), low));
    return _mm512_add_epi8(_mm512_shuffle_epi8(counts, _mm512_and_si512(bits, low)), high_counts);
  }
  static __m512i of_halves(__m512i bits) { return _mm512_maddubs_epi16(of_bytes(bits), _mm512_set1_epi8(1)); }
  static __m512i of_words(__m512i bits) { return _mm512_madd_epi16(of_halves(bits), _mm512_set1_epi16(1)); }
  static __m512i add_products(__m512i bias, __m512i x, __m512i y) {
    return _mm512_add_epi32(bias, _mm512_madd_epi16(x, y));
  }
};

}  // namespace

void fill_bit_convolution_bw(Kernels& set) { fill<LookedUpCounts>(set); }

}  // namespace qtrain::kernels::avx512
