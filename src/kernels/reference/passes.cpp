#include "kernels/passes.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/reference/add_terms.hpp"
#include "kernels/reference/ceil_code.hpp"
#include "kernels/reference/round_bfloat16.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::reference {
namespace {

float value_of(const PassSource& source, std::size_t i) {
  switch (source.values) {
    case PassValues::floats:
      return static_cast<const float*>(source.x)[i];
    case PassValues::shorts:
      return static_cast<float>(static_cast<const short*>(source.x)[i]);
    case PassValues::unsigned_bytes:
      return static_cast<float>(static_cast<const unsigned char*>(source.x)[i]);
    case PassValues::bfloat16:
      return std::bit_cast<float>(static_cast<std::uint32_t>(static_cast<const unsigned short*>(source.x)[i])
                                  << 16);
  }
  return 0;
}

void put(float value, PassValues values, void* y, std::size_t i) {
  if (values == PassValues::bfloat16)
    static_cast<unsigned short*>(y)[i] = round_bfloat16(value);
  else
    static_cast<float*>(y)[i] = value;
}

float sum_of_maps(const PassOperand& z, const PassOperand& r, std::size_t i, std::size_t lane) {
  const float y = value_of(z.source, i) * z.a[lane] + z.b[lane];
  return r.source.x == nullptr ? y : y + (value_of(r.source, i) * r.a[lane] + r.b[lane]);
}

void code_pass(const CodePass& pass, std::size_t pixels, std::size_t lanes) {
  for (std::size_t i = 0; i < pixels * lanes; ++i) {
    const float y = sum_of_maps(pass.z, pass.r, i, i % lanes);
    pass.codes[i] = static_cast<unsigned char>(ceil_code(y, pass.step, pass.top));
  }
}

void folded_pass(const FoldedPass& pass, std::size_t pixels, std::size_t lanes) {
  for (std::size_t i = 0; i < pixels * lanes; ++i) {
    const std::size_t l = i % lanes;
    float sum = pass.offsets[l];
    if (pass.r != nullptr) sum = std::fma(static_cast<float>(pass.r[i]), pass.r_slopes[l], sum);
    sum = std::fma(static_cast<float>(pass.z[i]), pass.slopes[l], sum);
    pass.codes[i] = static_cast<unsigned char>(std::clamp(std::ceil(sum), 0.0f, pass.top));
  }
}

float gradient(const WindowPass& pass, std::size_t i, std::size_t lane) {
  const float y = sum_of_maps(pass.z, pass.r, i, lane);
  if (!(pass.low < y && y <= pass.high)) return 0.0f * pass.slope;
  float g = value_of(pass.diff_dst[0], i);
  if (pass.diff_dst[1].x != nullptr) g += value_of(pass.diff_dst[1], i);
  return g * pass.slope;
}

void add_sums(const WindowPass& pass, const PassSource& source, const PassSums& sums, std::size_t pixels,
              std::size_t lanes) {
  for (std::size_t l = 0; sums.sum != nullptr && l < lanes; ++l) {
    const auto g = [&](std::size_t p) { return gradient(pass, p * lanes + l, l); };
    add_terms(sums.sum[l], pixels, g);
    if (sums.products == nullptr) continue;
    add_terms(sums.products[l], pixels,
              [&](std::size_t p) { return g(p) * (value_of(source, p * lanes + l) - sums.shift[l]); });
  }
}

void window_pass(const WindowPass& pass, std::size_t pixels, std::size_t lanes) {
  add_sums(pass, pass.z.source, pass.z_sums, pixels, lanes);
  add_sums(pass, pass.r.source, pass.r_sums, pixels, lanes);
  for (std::size_t i = 0; i < pixels * lanes; ++i) put(gradient(pass, i, i % lanes), pass.values, pass.g, i);
}

void pair_pass(const PairPass& pass, std::size_t pixels, std::size_t lanes) {
  for (std::size_t i = 0; i < pixels * lanes; ++i) {
    const std::size_t l = i % lanes;
    const float diff = (value_of(pass.g, i) * pass.p[l] + value_of(pass.z, i) * pass.q[l]) + pass.r[l];
    put(diff, pass.values, pass.diff, i);
  }
}

}  // namespace

void fill_passes(Kernels& set) {
  set.code_pass = code_pass;
  set.folded_pass = folded_pass;
  set.window_pass = window_pass;
  set.pair_pass = pair_pass;
}

}  // namespace qtrain::kernels::reference
