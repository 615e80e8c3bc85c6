#pragma once
#include "kernels/avx512/vectors.hpp"

namespace qtrain::kernels::avx512 {
namespace {

/// Kernels::ceil_codes where no reciprocal overflows. x times a reciprocal a little too small is below
/// x / step by less than one where that is at most top, so its ceiling is the right code or the one before.
class Ceiling {
 public:
  static bool serves(float step, float top) { return step > 0x1p-100f && step < 0x1p100f && top < 0x1p18f; }
  Ceiling(float step, float top)
      : steps_(_mm512_set1_ps(step)),
        reciprocals_(_mm512_set1_ps((1 - 0x1p-20f) / step)),
        tops_(_mm512_set1_ps(top)),
        highest_(_mm512_mul_ps(tops_, steps_)) {}
  __m512 operator()(__m512 v) const {
    // vmaxps and vminps return their second operand when one is NaN.
    return _mm512_min_ps(_mm512_max_ps(uncut(v), _mm512_setzero_ps()), tops_);
  }
  /// As integers, cut at the top alone: below 0 where the code is 0, for NaN too.
  __m512i uncut_below(__m512 v) const { return _mm512_cvttps_epi32(uncut(_mm512_min_ps(highest_, v))); }

 private:
  __m512 uncut(__m512 v) const {
    const __m512 up =
        _mm512_roundscale_ps(_mm512_mul_ps(v, reciprocals_), _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
    const __mmask16 too_low = _mm512_cmp_ps_mask(v, _mm512_mul_ps(up, steps_), _CMP_GT_OQ);
    return _mm512_mask_add_ps(up, too_low, up, _mm512_set1_ps(1.0f));
  }

  __m512 steps_, reciprocals_, tops_, highest_;
};

}  // namespace
}  // namespace qtrain::kernels::avx512
