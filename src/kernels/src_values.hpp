#pragma once

namespace qtrain::kernels {

/// How the values of a weight gradient's src are stored: as those of diff_dst are, or as codes of a byte.
enum class SrcValues { as_diff_dst, unsigned_bytes, signed_bytes };

/// The one of three kernels for src as it is stored.
template <class Kernel>
Kernel kernel_for(SrcValues values, Kernel as_diff_dst, Kernel unsigned_bytes, Kernel signed_bytes) {
  if (values == SrcValues::as_diff_dst) return as_diff_dst;
  return values == SrcValues::unsigned_bytes ? unsigned_bytes : signed_bytes;
}

}  // namespace qtrain::kernels
