#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/samples.hpp"

namespace qtrain::kernels {
namespace {

float float_of(std::uint32_t bits) { return std::bit_cast<float>(bits); }

}  // namespace

TEST_CASE("bfloat16: each of the 65536 comes back from its float, a NaN as a quiet one, in every set") {
  Halves all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<unsigned short>(i);
  for (const Kernels* set : available()) {
    CAPTURE(set->isa);
    std::vector<float> floats(all.size());
    set->from_bfloat16(all.data(), floats.data(), all.size());
    const Halves back = to_bfloat16(*set, floats);
    for (std::size_t i = 0; i < all.size(); ++i) {
      REQUIRE(std::bit_cast<std::uint32_t>(floats[i]) == i << 16);
      REQUIRE(back[i] == (std::isnan(floats[i]) ? i | 0x40 : i));
    }
  }
}

TEST_CASE("bfloat16: the nearest one, ties to even, past the largest to infinity, denormals too") {
  // Above every finite one lie 2^16 floats: just below the middle, the middle, just above it.
  for (const Kernels* set : available()) {
    CAPTURE(set->isa);
    std::vector<float> x;
    Halves expected;
    for (std::uint32_t i = 0; i < 65536; ++i) {
      if ((i & 0x7F80) == 0x7F80) continue;
      const auto below = static_cast<unsigned short>(i), above = static_cast<unsigned short>(i + 1);
      for (const std::uint32_t rest : {0x0001u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) {
        x.push_back(float_of(i << 16 | rest));
        expected.push_back(rest < 0x8000 || (rest == 0x8000 && i % 2 == 0) ? below : above);
      }
    }
    CHECK(to_bfloat16(*set, x) == expected);
  }
}

TEST_CASE("bfloat16: special values") {
  using Limits = std::numeric_limits<float>;
  const std::vector<float> x{0.0f,  -0.0f,  Limits::infinity(),   -Limits::infinity(),  Limits::max(), 1.0f,
                             -1.5f, 256.0f, Limits::denorm_min(), float_of(0x00008001), 1e-40f};
  const Halves expected{0, 0x8000, 0x7F80, 0xFF80, 0x7F80, 0x3F80, 0xBFC0, 0x4380, 0, 1, 1};
  // Signalling, with the payload in the lower half alone, and negative.
  const std::vector<float> nans{Limits::quiet_NaN(), float_of(0x7F800001), float_of(0xFFFFFFFF)};
  for (const Kernels* set : available()) {
    CAPTURE(set->isa);
    CHECK(to_bfloat16(*set, x) == expected);
    for (const unsigned short half : to_bfloat16(*set, nans)) CHECK((half & 0x7FFF) > 0x7F80);
  }
}

TEST_CASE("bfloat16: every integer of a byte, any size, in every set") {
  for (const Kernels* set : available()) {
    for (const std::size_t size : kSizes) {
      CAPTURE(set->isa);
      CAPTURE(size);
      std::vector<unsigned char> bytes(size);
      for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(i * 7);
      for (const bool is_signed : {false, true}) {
        Guarded<unsigned short> y(size);
        std::vector<float> back(size), expected(size);
        const auto& from_bytes = is_signed ? set->from_signed_bytes : set->from_unsigned_bytes;
        const auto& convert = is_signed ? set->bfloat16_from_signed_bytes : set->bfloat16_from_unsigned_bytes;
        from_bytes(bytes.data(), expected.data(), size);
        convert(bytes.data(), y.data(), size);
        set->from_bfloat16(y.data(), back.data(), size);
        CHECK((y.intact() && back == expected));
      }
    }
  }
}

TEST_CASE("bfloat16: any size, every set gives the reference's bits and writes no more") {
  for (const std::size_t size : kSizes) {
    CAPTURE(size);
    Guarded<float> x(special_values(size, 1));
    std::vector<unsigned short> expected(size);
    reference_kernels().to_bfloat16(x.data(), expected.data(), size);
    for (const Kernels* set : available()) {
      CAPTURE(set->isa);
      Guarded<unsigned short> y(size);
      Guarded<float> back(size), reference(size);
      set->to_bfloat16(x.data(), y.data(), size);
      set->from_bfloat16(y.data(), back.data(), size);
      reference_kernels().from_bfloat16(expected.data(), reference.data(), size);
      CHECK((y.intact() && y.values() == expected));
      CHECK((back.intact() && same_bits(back.values(), reference.values())));
    }
  }
}

}  // namespace qtrain::kernels
