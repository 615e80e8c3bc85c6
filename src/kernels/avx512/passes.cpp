#include "kernels/avx512/vector.hpp"
#include "kernels/passes_vectors.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx512 {

void fill_passes(Kernels& set) { fill(set); }

}  // namespace qtrain::kernels::avx512
