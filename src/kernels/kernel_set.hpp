#pragma once
#include <cstddef>

// No include with functions and no inline function here: sources built with flags for newer CPUs include
// this header, and an inline function compiled there could be linked into code that runs on any CPU.

namespace qtrain::kernels {

struct PlaneLayout;  // bit_planes.hpp
struct BitPlan;
struct BitThresholds;
struct CodePass;  // passes.hpp
struct FoldedPass;
struct WindowPass;
struct PairPass;
struct TableLayout;  // lookup_tables.hpp
struct TablePlan;
struct PairLayout;  // pairs.hpp
struct PairPlan;
struct WinogradTiles;  // winograd_tiles.hpp
struct WinogradProduct;

/// One set of kernels: pure functions on plain pointers. All sets give the same bits (additions in the stated
/// order, no fused multiply-add but where fma() is written; only which NaN a NaN is stays open), so the
/// choice of ISA is a matter of speed alone.
///
/// A tile is `pixels` rows of `lanes` values, element (p, l) at p * lanes + l; per-lane arrays have `lanes`
/// entries. In a blocked layout (nChw16c) lanes = 16 channels of one block and pixels run over the image; in
/// a plain one (nchw) lanes = 1. Output may be the same memory as an input, never overlap it otherwise. No
/// alignment is required.
struct Kernels {
  const char* isa;   ///< "reference", "avx2", "avx512bw", "avx512"
  bool has_avx2;     ///< all but the reference; for loops elsewhere that are compiled for it too
  bool has_passes;   ///< whether code_pass and the like are faster than the kernels they stand for
  int table_planes;  ///< of activations, from how many on tables are faster than bit planes

  /// y = z * a[l] + b[l]
  void (*affine)(const float* z, const float* a, const float* b, float* y, std::size_t pixels,
                 std::size_t lanes);
  /// y = (z * a[l] + b[l]) + (r * c[l] + d[l])
  void (*affine_add)(const float* z, const float* a, const float* b, const float* r, const float* c,
                     const float* d, float* y, std::size_t pixels, std::size_t lanes);
  /// y = (g * p[l] + z * q[l]) + r[l]
  void (*affine_pair)(const float* g, const float* z, const float* p, const float* q, const float* r,
                      float* y, std::size_t pixels, std::size_t lanes);

  /// Adds to sum[l] the sum over pixels of z - shift[l], to squares[l] that of (z - shift[l])^2.
  /// Order: pixels in blocks of 256; within a block four float sums, sum k over pixels p = k mod 4, combined
  /// as (s0 + s1) + (s2 + s3) and added to the double.
  void (*moments)(const float* z, const float* shift, double* sum, double* squares, std::size_t pixels,
                  std::size_t lanes);
  /// Adds to sum[l] the sum of g, to products[l] that of g * (z - shift[l]); order as in moments.
  void (*products)(const float* g, const float* z, const float* shift, double* sum, double* products,
                   std::size_t pixels, std::size_t lanes);
  /// Adds to sum[l] the sum of g; order as in moments.
  void (*lane_sums)(const float* g, double* sum, std::size_t pixels, std::size_t lanes);

  /// Local response normalization across lanes: y = x / (r * sqrt(r)), which is x n^(-3/4), with r = sqrt(n),
  /// n[l] = bias + alpha * s[l], s[l] the sum of x[j]^2 over the lanes j of the same pixel with |j - l| <=
  /// radius, added in order of j; lanes that are not there count 0. `scratch` has lanes + 2 * radius floats.
  void (*response_norm)(const float* x, float bias, float alpha, std::size_t radius, float* scratch, float* y,
                        std::size_t pixels, std::size_t lanes);
  /// Its gradient: d = p - (1.5 * alpha * x) * (sum of t[j] over |j - l| <= radius), p = g / (r * sqrt(r)),
  /// t = (p * x) / n, r and n as above. `scratch` has 2 * (lanes + 2 * radius) floats. No overlap.
  void (*response_norm_backward)(const float* x, const float* g, float bias, float alpha, std::size_t radius,
                                 float* scratch, float* d, std::size_t pixels, std::size_t lanes);

  /// See passes.hpp; lanes are a multiple of 16.
  void (*code_pass)(const CodePass& pass, std::size_t pixels, std::size_t lanes);
  void (*folded_pass)(const FoldedPass& pass, std::size_t pixels, std::size_t lanes);
  void (*window_pass)(const WindowPass& pass, std::size_t pixels, std::size_t lanes);
  void (*pair_pass)(const PairPass& pass, std::size_t pixels, std::size_t lanes);

  /// Adds to sums[0] the sum of g, to sums[1] that of g * x, over low < x <= high, in double: sixteen sums
  /// each, sum k over i = k mod 16, added to it in turn.
  void (*window_sums)(const float* x, float low, float high, const float* g, double* sums, std::size_t size);

  /// y = x1 + x2
  void (*add)(const float* x1, const float* x2, float* y, std::size_t size);
  /// y[i] = scale * tree sum over k < count of x[k][i], count > 0; the tree adds neighbours: (x0+x1)+(x2+x3),
  /// an odd one out is carried to the next round unchanged.
  void (*tree_sum)(const float* const* x, std::size_t count, float scale, float* y, std::size_t size);
  /// y = x < 0 ? 0 : x (so a NaN stays NaN and -0 stays -0)
  void (*relu)(const float* x, float* y, std::size_t size);
  /// y = the k with (k - 1) * step < x <= k * step, products rounded to float, cut to [0, top]; NaN becomes
  /// 0; never -0; step > 0, top >= 0. That is ceil(x / step) set right where the rounded quotient is one off:
  /// with step = 1.06667042f, (15 * step) / step is above 15, but x = 15 * step is code 15.
  void (*ceil_codes)(const float* x, float step, float top, float* y, std::size_t size);
  /// g = low < x && x <= high ? g : 0 (high may be infinity)
  void (*window)(const float* x, float low, float high, float* g, std::size_t size);
  /// y = e^-min(|x|, 88), 88 for NaN: to a relative error of 2e-7 where |x| <= 87, 0 for |x| >= 88, between
  /// them one or the other. Operations and order are those of reference/fast_exp.hpp.
  void (*exp_minus)(const float* x, float* y, std::size_t size);
  /// y = x < 0 ? -1 : +1 (so sign(0) = sign(-0) = sign(NaN) = +1)
  void (*sign)(const float* x, float* y, std::size_t size);
  /// y = x as one byte, for integers x in [-128, 255]: below 0 in two's complement.
  void (*to_bytes)(const float* x, unsigned char* y, std::size_t size);
  /// y = the integer in [0, 255] or [-128, 127] that byte x stands for. No overlap.
  void (*from_unsigned_bytes)(const unsigned char* x, float* y, std::size_t size);
  void (*from_signed_bytes)(const unsigned char* x, float* y, std::size_t size);
  /// y = x. No overlap.
  void (*from_shorts)(const short* x, float* y, std::size_t size);
  /// y = x as bfloat16, the upper half of a float: to the nearest one, ties to the even one; a NaN stays NaN,
  /// denormals round as all others.
  void (*to_bfloat16)(const float* x, unsigned short* y, std::size_t size);
  /// y = the float that bfloat16 x is. No overlap.
  void (*from_bfloat16)(const unsigned short* x, float* y, std::size_t size);
  /// As from_unsigned_bytes and from_signed_bytes, in bfloat16, which has all these integers. No overlap.
  void (*bfloat16_from_unsigned_bytes)(const unsigned char* x, unsigned short* y, std::size_t size);
  void (*bfloat16_from_signed_bytes)(const unsigned char* x, unsigned short* y, std::size_t size);
  /// The pairs of columns of `images` images nhwc, of bfloat16 values or of bytes, whose integers bfloat16
  /// has.
  void (*pack_pairs)(const PairLayout& layout, const void* x, std::size_t images, unsigned* pairs);
  void (*pack_unsigned_byte_pairs)(const PairLayout& layout, const void* x, std::size_t images,
                                   unsigned* pairs);
  void (*pack_signed_byte_pairs)(const PairLayout& layout, const void* x, std::size_t images,
                                 unsigned* pairs);
  /// Adds to diff_weights [output][ky][kx][channel] the sum of src * diff_dst, both packed, over images, rows
  /// and pairs in that order; of a pair the right column's product first. Every value read and every sum
  /// counts as 0 if it is denormal, and sums are rounded to float, products are not.
  void (*pair_products)(const PairPlan& plan, const unsigned* src, const unsigned* diff_dst,
                        std::size_t images, float* diff_weights);
  /// u = G g G^T for weights g [term][3][3][lane], turned: with ky and kx both backwards; u is
  /// [element][term] [lane]. Rows of G are x0, ((x0 + x2) + x1) / 2, ((x0 + x2) - x1) / 2, x2, ky first.
  void (*winograd_weights)(std::size_t terms, std::size_t lanes, const float* g, bool turned, float* u);
  /// v = B^T d B of the windows around the tiles of `rows` rows of tiles from first_row on, of images x. Rows
  /// of B^T are x0 - x2, x1 + x2, x2 - x1, x1 - x3, columns of pixels first. The same of bytes.
  void (*winograd_windows)(const WinogradTiles& tiles, const void* x, std::size_t first_row, std::size_t rows,
                           float* v);
  void (*winograd_unsigned_byte_windows)(const WinogradTiles& tiles, const void* x, std::size_t first_row,
                                         std::size_t rows, float* v);
  void (*winograd_signed_byte_windows)(const WinogradTiles& tiles, const void* x, std::size_t first_row,
                                       std::size_t rows, float* v);
  /// m[tile][lane] = fma(v[tile][term], u[term][lane], m) over terms in their order, m = 0 before; in each of
  /// the 16 elements.
  void (*winograd_products)(const WinogradProduct& product, const float* v, const float* u, std::size_t tiles,
                            float* m);
  /// y = A^T m A, tiles as in winograd_windows: rows of A^T are (x0 + x1) + x2, (x1 - x2) - x3, columns
  /// first.
  void (*winograd_results)(const WinogradTiles& tiles, const float* m, std::size_t first_row,
                           std::size_t rows, float* y);
  /// e = A' g A'^T, tiles likewise: rows of A' are x0, x0 + x1, x0 - x1, x1, columns first.
  void (*winograd_gradients)(const WinogradTiles& tiles, const float* g, std::size_t first_row,
                             std::size_t rows, float* e);
  /// u[term][lane] = fma(e[tile][term], v[tile][lane], u) over tiles in their order; in each element. Of
  /// product, src_apart is that of e, dst_apart that of v.
  void (*winograd_sums)(const WinogradProduct& product, const float* e, const float* v, std::size_t tiles,
                        float* u);
  /// Gradients [term][3][3][lane] = G'^T u G': with h = x / 2, rows are x0 + (h1 + h2), h1 - h2, (h1 + h2) -
  /// x3, ky first.
  void (*winograd_weight_gradients)(std::size_t terms, std::size_t lanes, const float* u,
                                    float* diff_weights);
  /// Winograd's tiles of bfloat16: as the kernels above, with u, v and e rounded to bfloat16 and products as
  /// in pair_products. Pairs of terms are words u [element][pair][lane]; v is [element][tile][channel].
  void (*winograd_pair_weights)(std::size_t terms, std::size_t lanes, const float* g, bool turned,
                                unsigned* u);
  void (*winograd_bfloat16_windows)(const WinogradTiles& tiles, const unsigned short* x,
                                    std::size_t first_row, std::size_t rows, unsigned short* v);
  void (*winograd_pair_products)(const WinogradProduct& product, const unsigned short* v, const unsigned* u,
                                 std::size_t tiles, float* m);
  void (*winograd_bfloat16_results)(const WinogradTiles& tiles, const float* m, std::size_t first_row,
                                    std::size_t rows, unsigned short* y);
  /// Pairs of tiles, neighbours in a row, are words v and e [element][pair][channel]; columns are even. x is
  /// of bfloat16 or of bytes.
  void (*winograd_window_pairs)(const WinogradTiles& tiles, const void* x, std::size_t first_row,
                                std::size_t rows, unsigned* v);
  void (*winograd_unsigned_byte_window_pairs)(const WinogradTiles& tiles, const void* x,
                                              std::size_t first_row, std::size_t rows, unsigned* v);
  void (*winograd_signed_byte_window_pairs)(const WinogradTiles& tiles, const void* x, std::size_t first_row,
                                            std::size_t rows, unsigned* v);
  void (*winograd_gradient_pairs)(const WinogradTiles& tiles, const unsigned short* g, std::size_t first_row,
                                  std::size_t rows, unsigned* e);
  void (*winograd_pair_sums)(const WinogradProduct& product, const unsigned* e, const unsigned* v,
                             std::size_t pairs, float* u);
  /// Whether every value is finite.
  bool (*all_finite)(const float* x, std::size_t size);
  /// Runs independent multiply-add chains in registers; returns multiply-adds done. For measuring the
  /// machine's peak.
  double (*multiply_add_burn)(std::size_t iterations);

  /// The bit planes of `images` images of codes nhwc, packed one after another, all bytes of all images
  /// written. Codes as bytes: those below 0 in two's complement.
  void (*pack_bytes)(const PlaneLayout& layout, const unsigned char* codes, std::size_t images,
                     unsigned char* planes);
  /// The same from codes as floats.
  void (*pack_floats)(const PlaneLayout& layout, const float* codes, std::size_t images,
                      unsigned char* planes);
  /// Convolution of packed images: rows first_row to last_row - 1 of each image of nhwc [images][out_height]
  /// [out_width][outputs], of which dst is the first image's row first_row; the other rows are left. With
  /// r = factor * acc + bias of a term, acc as in PlaneProduct, integers all, dst = r of the only term,
  /// exactly; with scales, dst = scales * r of the first term, then dst = dst + scales * r of each later one,
  /// every operation rounded.
  void (*bit_convolution)(const BitPlan& plan, const unsigned char* planes, std::size_t images,
                          std::size_t first_row, std::size_t last_row, float* dst);
  /// The same as 16-bit integers, where every r fits one; a single term without scales.
  void (*bit_convolution_shorts)(const BitPlan& plan, const unsigned char* planes, std::size_t images,
                                 std::size_t first_row, std::size_t last_row, short* dst);
  /// Of one packed image, the codes of two levels that BitThresholds makes of every r: dst and `added` (null:
  /// none) are [out_height][out_width][outputs]. A single term without scales, r of 16 bits.
  void (*bit_convolution_codes)(const BitPlan& plan, const BitThresholds& thresholds,
                                const unsigned char* planes, const unsigned char* added, unsigned char* dst);
  /// The tables of `images` images of codes nhwc, packed one after another, all bytes of all images written.
  /// Codes as bytes, those below 0 in two's complement, or as floats.
  void (*pack_byte_tables)(const TableLayout& layout, const unsigned char* codes, std::size_t images,
                           unsigned char* tables);
  void (*pack_float_tables)(const TableLayout& layout, const float* codes, std::size_t images,
                            unsigned char* tables);
  /// As bit_convolution, from tables: r = (sum of the entries looked up << step_bits) + bias, of 16 bits.
  void (*table_convolution)(const TablePlan& plan, const unsigned char* tables, std::size_t images,
                            std::size_t first_row, std::size_t last_row, float* dst);
  void (*table_convolution_shorts)(const TablePlan& plan, const unsigned char* tables, std::size_t images,
                                   std::size_t first_row, std::size_t last_row, short* dst);
  /// Runs independent xor-popcount-add chains in registers; returns bits done. For measuring the machine's
  /// peak.
  double (*popcount_burn)(std::size_t iterations);
};

}  // namespace qtrain::kernels
