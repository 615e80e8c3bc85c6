#include "kernels/avx512/vector.hpp"
#include "kernels/sets.hpp"
#include "kernels/tiles_vectors.hpp"

namespace qtrain::kernels::avx512 {

void fill_tiles(Kernels& set) { fill(set); }

}  // namespace qtrain::kernels::avx512
