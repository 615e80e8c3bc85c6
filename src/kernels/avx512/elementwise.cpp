#include "kernels/avx512/bfloat16.hpp"
#include "kernels/avx512/ceiling.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx512 {
namespace {

void add(const float* x1, const float* x2, float* y, size_t size) {
  map_flat([](__m512 v1, __m512 v2) { return _mm512_add_ps(v1, v2); }, y, size, x1, x2);
}

// vmaxps returns its second operand when one is NaN and when both are zeros of any sign.

void relu(const float* x, float* y, size_t size) {
  map_flat([](__m512 v) { return _mm512_max_ps(_mm512_setzero_ps(), v); }, y, size, x);
}

void ceil_codes(const float* x, float step, float top, float* y, size_t size) {
  if (Ceiling::serves(step, top)) return map_flat(Ceiling(step, top), y, size, x);
  const __m512 steps = _mm512_set1_ps(step), tops = _mm512_set1_ps(top), one = _mm512_set1_ps(1.0f);
  map_flat(
      [&](__m512 v) {
        const __m512 up =
            _mm512_roundscale_ps(_mm512_div_ps(v, steps), _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
        const __m512 below = _mm512_sub_ps(up, one);
        const __mmask16 too_high = _mm512_cmp_ps_mask(v, _mm512_mul_ps(below, steps), _CMP_LE_OQ);
        const __mmask16 too_low = _mm512_cmp_ps_mask(v, _mm512_mul_ps(up, steps), _CMP_GT_OQ);
        const __m512 code = _mm512_mask_add_ps(_mm512_mask_mov_ps(up, too_high, below), too_low, up, one);
        return _mm512_min_ps(_mm512_max_ps(code, _mm512_setzero_ps()), tops);
      },
      y, size, x);
}

void window(const float* x, float low, float high, float* g, size_t size) {
  const __m512 lows = _mm512_set1_ps(low), highs = _mm512_set1_ps(high);
  const auto pass = [&](__m512 v, __m512 gradient) {
    const __mmask16 above = _mm512_cmp_ps_mask(lows, v, _CMP_LT_OQ);
    return _mm512_maskz_mov_ps(_mm512_mask_cmp_ps_mask(above, v, highs, _CMP_LE_OQ), gradient);
  };
  map_flat(pass, g, size, x, static_cast<const float*>(g));
}

void sign(const float* x, float* y, size_t size) {
  const auto signs = [](__m512 v) {
    const __mmask16 negative = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_LT_OQ);
    return _mm512_mask_blend_ps(negative, _mm512_set1_ps(1.0f), _mm512_set1_ps(-1.0f));
  };
  map_flat(signs, y, size, x);
}

// As fast_exp_minus(cut_exponent(x)) of the reference, operation by operation.
void exp_minus(const float* x, float* y, size_t size) {
  const auto constant = [](float value) { return _mm512_set1_ps(value); };
  const __m512 shift = constant(0x1.8p23f);
  const auto pass = [&](__m512 value) {
    const __m512i magnitude = _mm512_and_si512(_mm512_castps_si512(value), _mm512_set1_epi32(0x7FFFFFFF));
    const __m512 t = _mm512_castsi512_ps(_mm512_min_epi32(magnitude, _mm512_castps_si512(constant(88.0f))));
    const __m512 shifted = _mm512_sub_ps(shift, _mm512_mul_ps(t, constant(1.44269504f)));
    const __m512 n = _mm512_sub_ps(shifted, shift);
    const __m512 r = _mm512_add_ps(_mm512_add_ps(t, _mm512_mul_ps(n, constant(0.693359375f))),
                                   _mm512_mul_ps(n, constant(-2.12194440e-4f)));
    const __m512 square = _mm512_mul_ps(r, r);
    const __m512 high_part =
        _mm512_add_ps(_mm512_sub_ps(constant(0x1.5558f4p-5f), _mm512_mul_ps(r, constant(0x1.123a6cp-7f))),
                      _mm512_mul_ps(square, constant(0x1.6a2352p-10f)));
    const __m512 series =
        _mm512_add_ps(_mm512_sub_ps(constant(0x1.fffffcp-2f), _mm512_mul_ps(r, constant(0x1.55549p-3f))),
                      _mm512_mul_ps(square, high_part));
    const __m512 power = _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_add_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(127)), 23));
    const __m512 rest = _mm512_sub_ps(r, _mm512_mul_ps(square, series));
    return _mm512_mul_ps(_mm512_sub_ps(constant(1.0f), rest), power);
  };
  map_flat(pass, y, size, x);
}

void to_bytes(const float* x, unsigned char* y, size_t size) {
  for_each_column(size, [&](auto at, size_t i) {
    _mm512_mask_cvtepi32_storeu_epi8(y + i, at.lanes(), _mm512_cvttps_epi32(at.load(x + i)));
  });
}

void from_unsigned_bytes(const unsigned char* x, float* y, size_t size) {
  for_each_column(size, [&](auto at, size_t i) {
    at.store(y + i, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(at.lanes(), x + i))));
  });
}

void from_signed_bytes(const unsigned char* x, float* y, size_t size) {
  for_each_column(size, [&](auto at, size_t i) {
    at.store(y + i, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(at.lanes(), x + i))));
  });
}

void from_shorts(const short* x, float* y, size_t size) {
  for_each_column(size, [&](auto at, size_t i) {
    const __m256i values = _mm256_maskz_loadu_epi16(at.lanes(), x + i);
    at.store(y + i, _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(values)));
  });
}

void to_bfloat16(const float* x, unsigned short* y, size_t size) {
  alignas(64) unsigned short upper[2 * kWidth];  // where the upper halves of two vectors lie
  for (unsigned short k = 0; k < 2 * kWidth; ++k) upper[k] = static_cast<unsigned short>(2 * k + 1);
  const __m512i places = _mm512_load_si512(upper);
  size_t i = 0;
  for (; i + 2 * kWidth <= size; i += 2 * kWidth) {
    const __m512i low = rounded(_mm512_loadu_ps(x + i)), high = rounded(_mm512_loadu_ps(x + i + kWidth));
    _mm512_storeu_si512(y + i, _mm512_permutex2var_epi16(low, places, high));
  }
  for_each_column(size - i, [&](auto at, size_t k) {
    _mm256_mask_storeu_epi16(y + i + k, at.lanes(), upper_halves(rounded(at.load(x + i + k))));
  });
}

void from_bfloat16(const unsigned short* x, float* y, size_t size) {
  for_each_column(size, [&](auto at, size_t i) {
    at.store(y + i, widened(_mm256_maskz_loadu_epi16(at.lanes(), x + i)));
  });
}

// Integers of eight bits leave the lower half of a float empty.
void bfloat16_from_unsigned_bytes(const unsigned char* x, unsigned short* y, size_t size) {
  for_each_column(size, [&](auto at, size_t i) {
    const __m512 value = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(at.lanes(), x + i)));
    _mm256_mask_storeu_epi16(y + i, at.lanes(), upper_halves(_mm512_castps_si512(value)));
  });
}

void bfloat16_from_signed_bytes(const unsigned char* x, unsigned short* y, size_t size) {
  for_each_column(size, [&](auto at, size_t i) {
    const __m512 value = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(at.lanes(), x + i)));
    _mm256_mask_storeu_epi16(y + i, at.lanes(), upper_halves(_mm512_castps_si512(value)));
  });
}

bool all_finite(const float* x, size_t size) {
  constexpr int kNanOrInfinity =
      0x01 | 0x08 | 0x10 | 0x80;  // classes of vfpclassps: quiet, +inf, -inf, signalling
  bool finite = true;
  for_each_column(size, [&](auto at, size_t i) {
    finite &= _mm512_fpclass_ps_mask(at.load(x + i), kNanOrInfinity) == 0;
  });
  return finite;
}

double multiply_add_burn(size_t iterations) {
  const __m512 half = _mm512_set1_ps(0.5f);
  const auto start = [](float value) {
    return _mm512_set1_ps(value);
  };  // all different, else they are one chain
  __m512 c0 = start(0), c1 = start(1), c2 = start(2), c3 = start(3), c4 = start(4), c5 = start(5);
  __m512 c6 = start(6), c7 = start(7), c8 = start(8), c9 = start(9), c10 = start(10), c11 = start(11);
  const auto step = [half](auto&... chain) { ((chain = _mm512_fmadd_ps(chain, half, half)), ...); };
  for (size_t i = 0; i < iterations; ++i) step(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11);
  const auto total = [](auto... chain) { return (_mm512_reduce_add_ps(chain) + ...); };
  volatile float kept =
      total(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11);  // a reader the compiler must serve
  static_cast<void>(kept);
  return static_cast<double>(iterations) * (12.0 * kWidth);
}

}  // namespace

void fill_elementwise(Kernels& set) {
  set.add = add;
  set.relu = relu;
  set.ceil_codes = ceil_codes;
  set.window = window;
  set.sign = sign;
  set.exp_minus = exp_minus;
  set.to_bytes = to_bytes;
  set.from_unsigned_bytes = from_unsigned_bytes;
  set.from_signed_bytes = from_signed_bytes;
  set.from_shorts = from_shorts;
  set.to_bfloat16 = to_bfloat16;
  set.from_bfloat16 = from_bfloat16;
  set.bfloat16_from_unsigned_bytes = bfloat16_from_unsigned_bytes;
  set.bfloat16_from_signed_bytes = bfloat16_from_signed_bytes;
  set.all_finite = all_finite;
  set.multiply_add_burn = multiply_add_burn;
}

}  // namespace qtrain::kernels::avx512
