#include "kernels/avx512/lookup_vector.hpp"
#include "kernels/lookup_vectors.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx512 {

void fill_lookup_tables_bw(Kernels& set) { fill<TableMaker>(set); }

}  // namespace qtrain::kernels::avx512
