#include "kernels/avx2/vector.hpp"
#include "kernels/response_norm_vectors.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx2 {

void fill_response_norm(Kernels& set) { fill(set); }

}  // namespace qtrain::kernels::avx2
