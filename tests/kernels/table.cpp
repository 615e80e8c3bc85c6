#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::kernels {
namespace {

bool is_complete(const Kernels& k) {
  return k.affine && k.affine_add && k.affine_pair && k.moments && k.products && k.lane_sums &&
         k.response_norm && k.response_norm_backward && k.code_pass && k.folded_pass && k.window_pass &&
         k.pair_pass && k.window_sums && k.add && k.tree_sum && k.relu && k.ceil_codes && k.window &&
         k.exp_minus && k.sign && k.to_bytes && k.from_unsigned_bytes && k.from_signed_bytes &&
         k.from_shorts && k.to_bfloat16 && k.from_bfloat16 && k.bfloat16_from_unsigned_bytes &&
         k.bfloat16_from_signed_bytes && k.pack_pairs && k.pack_unsigned_byte_pairs &&
         k.pack_signed_byte_pairs && k.pair_products && k.winograd_weights && k.winograd_windows &&
         k.winograd_unsigned_byte_windows && k.winograd_signed_byte_windows && k.winograd_products &&
         k.winograd_results && k.winograd_gradients && k.winograd_sums && k.winograd_weight_gradients &&
         k.winograd_pair_weights && k.winograd_bfloat16_windows && k.winograd_pair_products &&
         k.winograd_bfloat16_results && k.winograd_window_pairs && k.winograd_unsigned_byte_window_pairs &&
         k.winograd_signed_byte_window_pairs && k.winograd_gradient_pairs && k.winograd_pair_sums &&
         k.all_finite && k.multiply_add_burn && k.pack_bytes && k.pack_floats && k.bit_convolution &&
         k.bit_convolution_shorts && k.bit_convolution_codes && k.pack_byte_tables && k.pack_float_tables &&
         k.table_convolution && k.table_convolution_shorts && k.popcount_burn;
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

TEST_CASE("a CPU runs the sets whose instructions it has, the best last, and refuses the others") {
  const bool avx2 = __builtin_cpu_supports("avx2");
  const bool avx512bw = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const bool avx512 = avx512bw && __builtin_cpu_supports("avx512vpopcntdq") &&
                      __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("avx512vnni");
  std::vector<std::string> expected{"reference"}, names;
  if (avx2) expected.push_back("avx2");
  if (avx512bw) expected.push_back("avx512bw");
  if (avx512) expected.push_back("avx512");
  for (const Kernels* set : available()) names.emplace_back(set->isa);
  CHECK(names == expected);
  CHECK(std::string(choose("").isa) == expected.back());
  if (!avx2) CHECK(refusal("avx2").find("'avx2', but this CPU lacks AVX2 or FMA: ") != std::string::npos);
  if (!avx512bw) CHECK(refusal("avx512bw").find("lacks AVX-512 F") != std::string::npos);
  if (!avx512) CHECK(refusal("avx512").find("lacks AVX-512") != std::string::npos);
}

TEST_CASE("sets differ where their instructions help, and are the same elsewhere") {
  const auto differ_in_bit_planes = [](const Kernels& a, const Kernels& b) {
    return a.bit_convolution != b.bit_convolution && a.popcount_burn != b.popcount_burn;
  };
  const auto sets = available();
  for (std::size_t i = 1; i < sets.size(); ++i) CHECK(differ_in_bit_planes(*sets[i - 1], *sets[i]));
  for (const Kernels* set : sets) {
    const std::string isa = set->isa;
    CAPTURE(isa);
    const Kernels& base = choose(isa == "avx512" ? "avx512bw" : "reference");
    const bool own_others = isa == "avx2" || isa == "avx512bw";
    CHECK((set->pack_bytes != base.pack_bytes) == own_others);
    CHECK((set->pack_floats != base.pack_floats) == own_others);
    CHECK((set->pack_byte_tables != base.pack_byte_tables) == (isa != "reference"));
    CHECK((set->table_convolution_shorts != base.table_convolution_shorts) == (isa != "reference"));
    CHECK((set->affine != base.affine) == own_others);
    CHECK((set->window_pass != base.window_pass) == own_others);
    CHECK(set->has_passes == (isa != "reference"));
    CHECK((set->sign != base.sign) == own_others);
  }
}

TEST_CASE("the set in use is the one QTRAIN_ISA names") {
  const char* isa = std::getenv("QTRAIN_ISA");
  const std::string expected = isa == nullptr || *isa == '\0' ? available().back()->isa : isa;
  CHECK(std::string(active().isa) == expected);
  MESSAGE("kernels in use: ", std::string(active().isa));
}

TEST_CASE("an unknown ISA is refused with the choices") {
  CHECK(refusal("avx3").find("'avx3', must be 'reference', 'avx2', 'avx512bw' or 'avx512': ") !=
        std::string::npos);
  CHECK(refusal("AVX2").find("must be") != std::string::npos);
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
