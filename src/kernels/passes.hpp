#pragma once

// No function here: see kernel_set.hpp.

namespace qtrain::kernels {

// Elementwise passes whole, over a tile whose lanes are a multiple of 16: operations and order are those of
// the kernels named, but what goes from one to the next stays in registers.

enum class PassValues { floats, shorts, unsigned_bytes, bfloat16 };

/// Values of a tile; x null: none.
struct PassSource {
  const void* x;
  PassValues values;
};

/// Values and their affine map, x * a[l] + b[l].
struct PassOperand {
  PassSource source;
  const float* a;
  const float* b;
};

/// The codes that ceil_codes makes, with `step` within 2^-100 and 2^100 and `top` at most 255, of affine(z),
/// or, if there is an r, of affine_add(z, r).
struct CodePass {
  PassOperand z, r;
  float step, top;
  unsigned char* codes;
};

/// Codes of a product's sums: the ceiling of fma(z, slopes[l], offsets[l]), or, if there is an r, of fma(z,
/// slopes[l], fma(r, r_slopes[l], offsets[l])), cut to [0, top]. No sum is a NaN.
struct FoldedPass {
  const short* z;
  const unsigned char* r;  ///< null: none
  const float *slopes, *r_slopes, *offsets;
  float top;  ///< at most 255
  unsigned char* codes;
};

/// Where the sums of `products` of g and an operand go, or, with products null, those of lane_sums of g; sum
/// null: nowhere.
struct PassSums {
  const float* shift;
  double* sum;
  double* products;
};

/// g = slope * window(y, low, high, diff_dst[0] + diff_dst[1]), y = affine(z) or affine_add(z, r), and the
/// sums of g before it is rounded to `values`, floats or bfloat16.
struct WindowPass {
  PassSource diff_dst[2];
  PassOperand z, r;
  PassSums z_sums, r_sums;
  float low, high, slope;
  void* g;
  PassValues values;
};

/// diff = affine_pair(g, z), rounded to `values`, floats or bfloat16.
struct PairPass {
  PassSource g, z;
  const float *p, *q, *r;
  void* diff;
  PassValues values;
};

}  // namespace qtrain::kernels
