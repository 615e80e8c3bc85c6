#include "base/aligned.hpp"

#include <sys/mman.h>

#include <cstdlib>

namespace qtrain {

void* allocate_aligned(std::size_t bytes) {
  const std::size_t alignment = bytes < kHugePage ? 64 : kHugePage;
  void* p = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (p == nullptr && bytes > 0) throw std::bad_alloc();
  if (alignment == kHugePage) madvise(p, bytes, MADV_HUGEPAGE);  // a wish: it may be refused
  return p;
}

void free_aligned(void* bytes) { std::free(bytes); }

}  // namespace qtrain
