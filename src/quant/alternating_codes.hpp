#pragma once
#include <span>

namespace qtrain::quant {

inline constexpr int kMostAlternatingBits = 8;

/// The alternating multi-bit quantizer of one group of weights: q = sum over i < bits of alpha_i b_i with
/// b_i in {-1, +1}^n, near w in least squares. Greedy start, then `refinements` rounds, each never farther
/// from w than before (but for rounding):
///
///   r = w;  for each i: b_i = sign(r), alpha_i = mean |r|, r = r - alpha_i b_i
///   round:  alpha = argmin ||w - B alpha||;  B = nearest of the 2^bits sums +-alpha_1 ... +-alpha_bits
///
/// sign(0) = sign(-0) = +1; a weight halfway between two sums takes the greater. A b_i that is a combination
/// of those before gets alpha_i = 0, which leaves B alpha the best there is. 1 bit needs no rounds. q may be
/// w.
void alternating(std::span<const float> w, int bits, int refinements, std::span<float> q);

}  // namespace qtrain::quant
