#pragma once
#include "kernels/vector_loops.hpp"

namespace qtrain::kernels {
namespace {

/// Kernels::ceil_codes where no reciprocal overflows. x times a reciprocal a little too small is below
/// x / step by less than one where that is at most top, so its ceiling is the right code or the one before.
class Ceiling {
 public:
  static bool serves(float step, float top) { return step > 0x1p-100f && step < 0x1p100f && top < 0x1p18f; }
  Ceiling(float step, float top)
      : steps_(all(step)),
        reciprocals_(all((1 - 0x1p-20f) / step)),
        tops_(all(top)),
        highest_(tops_ * steps_) {}
  Vector operator()(Vector v) const { return min(max(uncut(v), zero()), tops_); }
  /// As integers, cut at the top alone: below 0 where the code is 0, for NaN too.
  Integers uncut_below(Vector v) const { return truncated(uncut(min(highest_, v))); }

 private:
  Vector uncut(Vector v) const {
    const Vector up = ceiling(v * reciprocals_);
    return chosen(up * steps_ < v, up + all(1.0f), up);
  }

  Vector steps_, reciprocals_, tops_, highest_;
};

}  // namespace
}  // namespace qtrain::kernels
