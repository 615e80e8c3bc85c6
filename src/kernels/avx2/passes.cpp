#include "kernels/avx2/vector.hpp"
#include "kernels/passes_vectors.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx2 {

void fill_passes(Kernels& set) { fill(set); }

}  // namespace qtrain::kernels::avx2
