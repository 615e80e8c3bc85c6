#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "base/error.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::kernels {
namespace {

bool is_complete(const Kernels& k) {
  return k.affine && k.affine_add && k.affine_pair && k.moments && k.products && k.lane_sums &&
         k.response_norm && k.response_norm_backward && k.add && k.tree_sum && k.relu && k.ceil_codes &&
         k.window && k.sign && k.to_bfloat16 && k.from_bfloat16 && k.bfloat16_from_unsigned_bytes &&
         k.bfloat16_from_signed_bytes && k.all_finite && k.multiply_add_burn && k.pack_bytes &&
         k.pack_floats && k.pack_signs && k.from_shorts && k.bit_convolution && k.bit_convolution_shorts &&
         k.bit_convolution_codes && k.popcount_burn;
}

std::string refusal(const char* isa) {
  try {
    choose(isa);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("sets are complete, the reference first and the best last") {
  const auto sets = available();
  REQUIRE(!sets.empty());
  CHECK(std::string(sets.front()->isa) == "reference");
  CHECK(&choose("") == sets.back());
  for (const Kernels* set : sets) {
    CAPTURE(set->isa);
    CHECK(is_complete(*set));
    CHECK(&choose(set->isa) == set);
  }
}

TEST_CASE("a CPU runs the AVX-512 sets whose instructions it has, and refuses the others") {
  const bool capable = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const bool counts = __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bitalg") &&
                      __builtin_cpu_supports("avx512vnni");
  const std::string best = !capable ? "reference" : !counts ? "avx512bw" : "avx512";
  CHECK(std::string(choose("").isa) == best);
  if (capable) {
    CHECK((choose("avx512bw").affine != choose("reference").affine));
    CHECK((choose("avx512bw").bit_convolution != choose("reference").bit_convolution));
  } else {
    CHECK(refusal("avx512bw").find("lacks AVX-512 F") != std::string::npos);
  }
  if (capable && counts) {
    CHECK((choose("avx512").affine == choose("avx512bw").affine));
    CHECK((choose("avx512").bit_convolution != choose("avx512bw").bit_convolution));
    CHECK((choose("avx512").popcount_burn != choose("avx512bw").popcount_burn));
  } else {
    CHECK(refusal("avx512").find("lacks AVX-512") != std::string::npos);
  }
}

TEST_CASE("the set in use is the one QTRAIN_ISA names") {
  const char* isa = std::getenv("QTRAIN_ISA");
  const std::string expected = isa == nullptr || *isa == '\0' ? available().back()->isa : isa;
  CHECK(std::string(active().isa) == expected);
  CHECK(&active() == &active());
  MESSAGE("kernels in use: ", std::string(active().isa));
}

TEST_CASE("an unknown ISA is refused with the choices") {
  CHECK(refusal("avx3").find("'avx3', must be 'reference', 'avx512bw' or 'avx512'") != std::string::npos);
  CHECK(refusal("AVX512") != "none");
  CHECK(refusal("reference ") != "none");
}

TEST_CASE("the burns count what they do") {
  for (const Kernels* set : available()) {
    CAPTURE(set->isa);
    CHECK(set->multiply_add_burn(0) == 0);
    CHECK(set->multiply_add_burn(1) >= 10);
    CHECK(set->multiply_add_burn(1000) == 1000 * set->multiply_add_burn(1));
    CHECK(set->popcount_burn(0) == 0);
    CHECK(set->popcount_burn(1) >= 256);
    CHECK(set->popcount_burn(1000) == 1000 * set->popcount_burn(1));
  }
}

}  // namespace qtrain::kernels
