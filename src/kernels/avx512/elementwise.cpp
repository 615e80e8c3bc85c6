#include "kernels/avx512/vector.hpp"
#include "kernels/elementwise_vectors.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx512 {

void fill_elementwise(Kernels& set) { fill(set); }

}  // namespace qtrain::kernels::avx512
