#include "kernels/avx512/bit_tiles.hpp"

// Built with VPOPCNTDQ, BITALG and VNNI besides; runs only in the set that asks for them.

namespace qtrain::kernels::avx512 {
namespace {

struct Popcounts {
  static __m512i of_words(__m512i bits) { return _mm512_popcnt_epi32(bits); }
  static __m512i of_halves(__m512i bits) { return _mm512_popcnt_epi16(bits); }
  /// bias + low halves' product + high halves' product
  static __m512i add_products(__m512i bias, __m512i x, __m512i y) { return _mm512_dpwssd_epi32(bias, x, y); }
};

}  // namespace

void fill_bit_convolution(Kernels& set) { fill<Popcounts>(set); }

}  // namespace qtrain::kernels::avx512
