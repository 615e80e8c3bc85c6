#pragma once
#include "kernels/kernel_set.hpp"

// Each set fills its part of the table; table.cpp puts the parts together. As for kernel_set.hpp: nothing
// inline here.

namespace qtrain::kernels {

namespace reference {
void fill_tiles(Kernels& set);  ///< affine, affine_add, affine_pair
void fill_sums(Kernels& set);   ///< moments, products, lane_sums, tree_sum
void fill_response_norm(Kernels& set);
void fill_bit_planes(Kernels& set);      ///< pack_*, bit_convolution*, popcount_burn
void fill_lookup_tables(Kernels& set);   ///< pack_*_tables, table_convolution*
void fill_pairs(Kernels& set);           ///< pack_pairs, pair_products
void fill_winograd_pairs(Kernels& set);  ///< winograd_*pair*, winograd_bfloat16_*
void fill_winograd(Kernels& set);        ///< winograd_*
void fill_passes(Kernels& set);
void fill_elementwise(Kernels& set);  ///< the others
}  // namespace reference

namespace avx2 {
void fill_tiles(Kernels& set);
void fill_sums(Kernels& set);
void fill_response_norm(Kernels& set);
void fill_passes(Kernels& set);
void fill_elementwise(Kernels& set);
void fill_pack_planes(Kernels& set);      ///< pack_bytes, pack_floats
void fill_bit_convolution(Kernels& set);  ///< bit_convolution, popcount_burn
void fill_lookup_tables(Kernels& set);
void fill_winograd(Kernels& set);
}  // namespace avx2

namespace avx512 {
void fill_tiles(Kernels& set);
void fill_sums(Kernels& set);
void fill_response_norm(Kernels& set);
void fill_passes(Kernels& set);
void fill_elementwise(Kernels& set);
void fill_pack_planes(Kernels& set);      ///< pack_bytes, pack_floats
void fill_bit_convolution(Kernels& set);  ///< bit_convolution*, popcount_burn: needs VPOPCNTDQ, BITALG, VNNI
void fill_bit_convolution_bw(Kernels& set);  ///< the same without them
void fill_lookup_tables(Kernels& set);       ///< needs VNNI
void fill_lookup_tables_bw(Kernels& set);
void fill_pairs(Kernels& set);  ///< needs AVX-512 BF16
void fill_winograd(Kernels& set);
void fill_winograd_pairs(Kernels& set);  ///< needs AVX-512 BF16
}  // namespace avx512

}  // namespace qtrain::kernels
