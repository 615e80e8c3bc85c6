#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/aligned.hpp"
#include "kernels/bit_planes.hpp"
#include "kernels/geometry.hpp"
#include "kernels/kernels.hpp"
#include "kernels/lookup_weights.hpp"

namespace qtrain::kernels {

/// Weights are integers w = sum over i < planes of 2^i d_i, the digits d_i all +-1 where every w is odd, else
/// in {-1, 0, 1}: any |w| < 2^planes. So planes = 1 are +-1 and ternary weights, 2 are {-3, -1, 1, 3}, signed
/// 2-bit and 7-level ones, and so on: an operand of b bits costs as many products as b planes.
struct BitWeights {
  int planes = 1;  ///< 1 to 8
  /// The weight stands for sum of alpha_i d_i instead, with an alpha for each plane and output.
  bool weighted = false;
  bool no_zeros = false;  ///< whether every digit is +-1, as pack_weights() then checks
};

/// Activations are codes x = lowest + step * index, 0 <= index < 2^planes: unsigned ones of b bits (b planes,
/// from 0), sign (1 plane, lowest -1, step 2), ternary (2 planes, lowest -1). Padding is 0, be it a code or
/// not.
struct BitActivations {
  int planes = 1;  ///< 1 to 8
  int lowest = 0;
  int step = 1;  ///< 1 or 2
  /// The code stands for sum of beta_p b_p instead, b_p = +-1 for bit p of the index, with a beta for each
  /// plane.
  bool weighted = false;
};

/// A convolution of low-precision operands by bit planes: described once, weights packed once a step, run for
/// any shard, image or rows by any thread. Nothing here allocates after construction.
///
/// Where one plane of weights without zeros meets Kernels::table_planes to four planes, and 16 bits hold
/// every sum, it is by tables instead (lookup_tables.hpp), with the same results: one lookup serves four
/// channels and all planes.
///
/// A digit plane d with sign s and mask m meets a plane P of bits in m & (s ^ P), and
///
///   sum of d P = popcount(m & (s ^ P)) - popcount(m & s)
///
/// be d of +-1 or ternary, and P = 0 in the padding adds nothing. The planes' sums are added up by Horner's
/// rule, the constants per output are the bias, which also holds lowest * (sum of w inside the image); that
/// depends on where the window lies, hence classes of rows and columns.
class BitConvolution {
 public:
  /// Why a convolution cannot be done: a window larger than the padded image, planes beyond 1 to 8, or sums
  /// that may pass 2^24, the last integer up to which floats are exact. "": it can.
  static std::string refusal(const ConvolutionGeometry& geometry, const BitWeights& weights,
                             const BitActivations& activations);

  /// An Error if refusal() has a reason.
  BitConvolution(const ConvolutionGeometry& geometry, const BitWeights& weights,
                 const BitActivations& activations, const Kernels& kernels = active());
  BitConvolution(const BitConvolution&) = delete;
  BitConvolution& operator=(const BitConvolution&) = delete;

  /// Takes integer weights OIHW.
  void pack_weights(std::span<const float> codes);
  /// Takes the scales of weighted operands, alphas [plane][output], betas [plane]; a span is empty if its
  /// operand is not weighted. The result is the sum over i, then p, of (alpha_i * beta_p) * (integer sum of
  /// d_i b_p), every operation rounded to float; only i or p if one operand is weighted.
  void set_scales(std::span<const float> alphas, std::span<const float> betas);

  const ConvolutionGeometry& geometry() const { return geometry_; }
  const PlaneLayout& layout() const { return plan_.layout; }
  /// Its plan where it is by tables, else null.
  const TablePlan* tables() const { return lookup_ ? &lookup_->plan() : nullptr; }
  /// Bytes of one packed image.
  std::size_t image_bytes() const {
    return lookup_ ? lookup_->plan().layout.image_bytes : plan_.layout.image_bytes;
  }
  /// Bytes of the packed weights.
  std::size_t weight_bytes() const {
    return lookup_ ? lookup_->bytes() : (signs_.size() + masks_.size()) * sizeof(std::uint32_t);
  }
  /// Multiply-adds of one image.
  double multiply_adds() const;

  /// Packs codes nhwc of `images` images; no overlap.
  void pack(const unsigned char* codes, std::size_t images, unsigned char* planes) const {
    if (lookup_) return kernels_.pack_byte_tables(lookup_->plan().layout, codes, images, planes);
    kernels_.pack_bytes(plan_.layout, codes, images, planes);
  }
  void pack(const float* codes, std::size_t images, unsigned char* planes) const {
    if (lookup_) return kernels_.pack_float_tables(lookup_->plan().layout, codes, images, planes);
    kernels_.pack_floats(plan_.layout, codes, images, planes);
  }

  /// Rows first_row to last_row - 1 of each of `images` images: dst is nhwc and begins at the first image's
  /// first_row, floats. Not weighted: the exact integer sums of products. No overlap.
  void run(const unsigned char* planes, std::size_t images, std::size_t first_row, std::size_t last_row,
           float* dst) const {
    if (lookup_) return kernels_.table_convolution(lookup_->plan(), planes, images, first_row, last_row, dst);
    kernels_.bit_convolution(plan_, planes, images, first_row, last_row, dst);
  }
  void run(const unsigned char* planes, std::size_t images, float* dst) const {
    run(planes, images, 0, plan_.out_height, dst);
  }
  /// No result is larger in magnitude.
  double bound() const { return bound_; }
  /// Whether 16 bits hold every result, and nothing is weighted.
  bool fits_shorts() const { return fits_shorts_; }
  /// The same as 16-bit integers, where they fit.
  void run(const unsigned char* planes, std::size_t images, std::size_t first_row, std::size_t last_row,
           short* dst) const {
    if (lookup_)
      return kernels_.table_convolution_shorts(lookup_->plan(), planes, images, first_row, last_row, dst);
    kernels_.bit_convolution_shorts(plan_, planes, images, first_row, last_row, dst);
  }
  void run(const unsigned char* planes, std::size_t images, short* dst) const {
    run(planes, images, 0, plan_.out_height, dst);
  }
  /// Whether it gives codes of two levels: not by tables.
  bool gives_codes() const { return fits_shorts_ && !lookup_; }
  /// One image to codes of two levels, where gives_codes(): see Kernels::bit_convolution_codes.
  void run(const BitThresholds& thresholds, const unsigned char* planes, const unsigned char* added,
           unsigned char* dst) const {
    kernels_.bit_convolution_codes(plan_, thresholds, planes, added, dst);
  }

 private:
  /// Output rows, or columns, whose windows reach the same taps: [first, last) of the kernel.
  struct Taps {
    std::size_t first, last;
    bool operator==(const Taps&) const = default;
  };
  struct Term {
    std::size_t first_plane, last_plane;  ///< of weights
    std::vector<PlaneProduct> products;
    AlignedBuffer<float> bias, scales;
  };

  void lay_out();
  void list_words();
  void list_terms();
  void classify(std::size_t size, std::size_t outputs, std::vector<Taps>& taps,
                std::vector<std::size_t>& classes) const;
  void pack_output(std::span<const float> codes, std::size_t output, bool binary);
  void set_bias(std::span<const float> codes, std::size_t output, bool binary);

  ConvolutionGeometry geometry_;
  BitWeights weights_;
  BitActivations activations_;
  const Kernels& kernels_;
  std::size_t padded_outputs_;
  double bound_;
  bool fits_shorts_;
  std::vector<std::size_t> word_offsets_, row_classes_, column_classes_;
  std::vector<Taps> row_taps_, column_taps_;
  AlignedBuffer<std::uint32_t> signs_, masks_;
  std::vector<std::int32_t> tap_sums_;  ///< of one output's digits, per tap
  std::vector<Term> terms_;
  std::vector<PlaneTerm> plane_terms_;
  BitPlan plan_{};
  std::optional<LookupWeights> lookup_;  ///< instead of the planes
};

}  // namespace qtrain::kernels
