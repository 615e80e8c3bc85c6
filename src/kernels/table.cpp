#include <cstdlib>

#include "base/error.hpp"
#include "kernels/kernels.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels {
namespace {

const Kernels& reference_set() {
  static const Kernels kSet = [] {
    Kernels set{};
    set.isa = "reference";
    set.table_planes = 2;
    reference::fill_tiles(set);
    reference::fill_sums(set);
    reference::fill_response_norm(set);
    reference::fill_bit_planes(set);
    reference::fill_lookup_tables(set);
    reference::fill_pairs(set);
    reference::fill_winograd(set);
    reference::fill_winograd_pairs(set);
    reference::fill_passes(set);
    reference::fill_elementwise(set);
    return set;
  }();
  return kSet;
}

const Kernels& avx2_set() {
  static const Kernels kSet = [] {
    Kernels set = reference_set();
    set.isa = "avx2";
    set.has_avx2 = true;
    set.has_passes = true;
    avx2::fill_tiles(set);
    avx2::fill_sums(set);
    avx2::fill_response_norm(set);
    avx2::fill_passes(set);
    avx2::fill_elementwise(set);
    avx2::fill_pack_planes(set);
    avx2::fill_bit_convolution(set);
    avx2::fill_lookup_tables(set);
    avx2::fill_winograd(set);
    return set;
  }();
  return kSet;
}

Kernels make_avx512(const char* isa, int table_planes) {
  Kernels set{};
  set.isa = isa;
  set.has_avx2 = true;
  set.has_passes = true;
  set.table_planes = table_planes;
  avx512::fill_tiles(set);
  avx512::fill_sums(set);
  avx512::fill_response_norm(set);
  avx512::fill_passes(set);
  avx512::fill_elementwise(set);
  avx512::fill_pack_planes(set);
  (multiplies_bfloat16() ? avx512::fill_pairs : reference::fill_pairs)(set);
  avx512::fill_winograd(set);
  (multiplies_bfloat16() ? avx512::fill_winograd_pairs : reference::fill_winograd_pairs)(set);
  return set;
}

const Kernels& avx512bw_set() {
  static const Kernels kSet = [] {
    Kernels set = make_avx512("avx512bw", 2);
    avx512::fill_bit_convolution_bw(set);
    avx512::fill_lookup_tables_bw(set);
    return set;
  }();
  return kSet;
}

const Kernels& avx512_set() {
  static const Kernels kSet = [] {
    Kernels set = make_avx512("avx512", 3);
    avx512::fill_bit_convolution(set);
    avx512::fill_lookup_tables(set);
    return set;
  }();
  return kSet;
}

/// Those that src/kernels/avx512/ is compiled for.
bool cpu_has_avx512bw() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

/// Those that bit_convolution.cpp and lookup_tables.cpp in src/kernels/avx512/ need besides.
bool cpu_has_lane_popcounts() {
  return __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bitalg") &&
         __builtin_cpu_supports("avx512vnni");
}

/// What the CPU lacks of what the set `isa`, which is not available, needs; "" if there is no such set.
std::string_view lacking(std::string_view isa) {
  if (isa == "avx2") return "AVX2 or FMA";
  if (isa != "avx512bw" && isa != "avx512") return "";
  return cpu_has_avx512bw() ? "AVX-512 VPOPCNTDQ, BITALG or VNNI" : "AVX-512 F, BW, DQ or VL";
}

}  // namespace

bool multiplies_bfloat16() { return cpu_has_avx512bw() && __builtin_cpu_supports("avx512bf16"); }

bool multiplies_fused() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

std::vector<const Kernels*> available() {
  std::vector<const Kernels*> sets{&reference_set()};
  if (multiplies_fused()) sets.push_back(&avx2_set());
  if (cpu_has_avx512bw()) sets.push_back(&avx512bw_set());
  if (cpu_has_avx512bw() && cpu_has_lane_popcounts()) sets.push_back(&avx512_set());
  return sets;
}

const Kernels& choose(std::string_view isa) {
  const std::vector<const Kernels*> sets = available();
  if (isa.empty()) return *sets.back();
  for (const Kernels* set : sets) {
    if (set->isa == isa) return *set;
  }
  if (const std::string_view part = lacking(isa); !part.empty()) {
    fail(ExitCode::usage, "QTRAIN_ISA is '{}', but this CPU lacks {}: unset it or set it to '{}'", isa, part,
         sets.back()->isa);
  }
  fail(ExitCode::usage,
       "QTRAIN_ISA is '{}', must be 'reference', 'avx2', 'avx512bw' or 'avx512': correct it, or unset it for "
       "the best one",
       isa);
}

const Kernels& active() {
  static const Kernels& chosen = [&]() -> const Kernels& {
    const char* isa = std::getenv("QTRAIN_ISA");
    return choose(isa == nullptr ? "" : isa);
  }();
  return chosen;
}

}  // namespace qtrain::kernels
