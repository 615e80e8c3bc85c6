#pragma once
#include <cstddef>

#include "engine/layout.hpp"

namespace qtrain::engine {

/// y = `size` values of a storage as floats. No overlap.
void load(Storage storage, const std::byte* x, float* y, std::size_t size);
/// y = `size` floats in a storage: bfloat16 rounds, bytes are for codes they can hold. No overlap.
void store(const float* x, Storage storage, std::byte* y, std::size_t size);

}  // namespace qtrain::engine
