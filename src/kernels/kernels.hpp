#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernel_set.hpp"

namespace qtrain::kernels {

/// The set in use, chosen once at first call: choose($QTRAIN_ISA).
const Kernels& active();
/// The set named `isa`: "reference"; "avx2" (AVX2 and FMA); "avx512bw" (AVX-512 F, BW, DQ, VL); "avx512"
/// (VPOPCNTDQ, BITALG and VNNI besides), which differs from the former in the bit planes and lookup tables
/// alone. Empty: the best this CPU has. An
/// unknown name, or one the CPU lacks, is an Error (usage).
const Kernels& choose(std::string_view isa);
/// Whether this CPU has products of bfloat16 pairs (AVX-512 BF16). Sets without them are slow at
/// pair_products, the reference above all.
bool multiplies_bfloat16();
/// Whether this CPU has AVX2 and fused multiply-add, what src/kernels/avx2/ is compiled for. The reference is
/// slow at winograd_products and winograd_sums.
bool multiplies_fused();
/// Every set this CPU can run, reference first, best last.
std::vector<const Kernels*> available();

}  // namespace qtrain::kernels
