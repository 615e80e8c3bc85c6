#pragma once
#include <stddef.h>

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 warns of the deliberately undefined operands inside its own intrinsics (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
