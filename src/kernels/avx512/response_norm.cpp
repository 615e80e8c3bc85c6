#include "kernels/avx512/vector.hpp"
#include "kernels/response_norm_vectors.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx512 {

void fill_response_norm(Kernels& set) { fill(set); }

}  // namespace qtrain::kernels::avx512
