#include "kernels/avx2/vector.hpp"
#include "kernels/sets.hpp"
#include "kernels/tiles_vectors.hpp"

namespace qtrain::kernels::avx2 {

void fill_tiles(Kernels& set) { fill(set); }

}  // namespace qtrain::kernels::avx2
