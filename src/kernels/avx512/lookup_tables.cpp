#include "kernels/avx512/lookup_vector.hpp"
#include "kernels/lookup_vectors.hpp"
#include "kernels/sets.hpp"

// Built with VNNI besides; runs only in the set that asks for it.

namespace qtrain::kernels {
namespace {

/// As TableMaker: VPDPBUSD adds four indices times +-1 to an entry's constant, four entries of each of four
/// tables at a time.
class DotTableMaker {
 public:
  explicit DotTableMaker(const TableLayout& l) : indices_(l) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      signed char signs[4 * kSums];
      int bases[kSums];
      for (int i = 0; i < static_cast<int>(kSums); ++i) {
        const int entry = 4 * quarter + i % 4;
        bases[i] = l.top * __builtin_popcount(static_cast<unsigned>(entry));
        for (int j = 0; j < 4; ++j) signs[4 * i + j] = (entry >> j & 1) != 0 ? -1 : 1;
      }
      signs_[quarter] = _mm512_loadu_si512(signs);
      bases_[quarter] = _mm512_loadu_si512(bases);
    }
  }
  Vector of_padding() const { return packed(bases_[0], bases_[1], bases_[2], bases_[3]); }
  [[gnu::always_inline]] Vector of(const unsigned char* codes) const {
    const __m128i x = indices_.of(repeatable(codes));
    const __m512i tables = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i indices = _mm512_permutexvar_epi32(tables, _mm512_castsi128_si512(x));
    const auto entries = [&](size_t quarter) {
      return _mm512_dpbusd_epi32(bases_[quarter], indices, signs_[quarter]);
    };
    return packed(entries(0), entries(1), entries(2), entries(3));
  }

 private:
  static constexpr size_t kSums = 16;  ///< of a vector
  static Vector packed(__m512i a, __m512i b, __m512i c, __m512i d) {
    return {_mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d))};
  }

  Indices indices_;
  __m512i signs_[4], bases_[4];
};

}  // namespace
}  // namespace qtrain::kernels

namespace qtrain::kernels::avx512 {

void fill_lookup_tables(Kernels& set) { fill<DotTableMaker>(set); }

}  // namespace qtrain::kernels::avx512
