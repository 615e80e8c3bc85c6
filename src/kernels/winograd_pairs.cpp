#include "kernels/winograd_pairs.hpp"

#include "kernels/winograd_chunks.hpp"

namespace qtrain::kernels {

namespace {

std::size_t pairs_of(const WinogradProduct& product) {
  return kWinogradElements * product.terms / 2 * product.lanes;
}

decltype(Kernels::winograd_window_pairs) windows_of(const Kernels& kernels, PairValues values) {
  if (values == PairValues::bfloat16) return kernels.winograd_window_pairs;
  return values == PairValues::unsigned_bytes ? kernels.winograd_unsigned_byte_window_pairs
                                              : kernels.winograd_signed_byte_window_pairs;
}

}  // namespace

bool has_winograd_pairs(const ConvolutionGeometry& g) {
  return has_winograd(g) && (g.width + 1) / 2 % 2 == 0;
}

WinogradPairData::WinogradPairData(const ConvolutionGeometry& g, const Kernels& kernels)
    : kernels_(kernels),
      diff_dst_(tiles_of(g, g.outputs)),
      diff_src_(tiles_of(g, g.channels)),
      rows_(rows_at_once(diff_dst_)) {
  diff_dst_.apart = apart(diff_dst_, rows_);
  diff_src_.apart = apart(diff_src_, rows_);
  product_ = {
      .terms = g.outputs, .lanes = g.channels, .src_apart = diff_dst_.apart, .dst_apart = diff_src_.apart};
}

std::size_t WinogradPairData::scratch_bytes() const {
  const std::size_t v = kWinogradElements * diff_dst_.apart * sizeof(unsigned short);
  return pairs_of(product_) * sizeof(unsigned) + v + kWinogradElements * diff_src_.apart * sizeof(float);
}

template <class Result>
void WinogradPairData::run(const unsigned short* diff_dst, std::size_t images, const float* weights,
                           void* scratch, const Result& result) const {
  auto* u = static_cast<unsigned*>(scratch);
  auto* m = reinterpret_cast<float*>(u + pairs_of(product_));
  auto* v = reinterpret_cast<unsigned short*>(m + kWinogradElements * diff_src_.apart);
  kernels_.winograd_pair_weights(product_.terms, product_.lanes, weights, true, u);
  in_chunks(images * diff_dst_.rows, rows_, [&](std::size_t first, std::size_t rows) {
    kernels_.winograd_bfloat16_windows(diff_dst_, diff_dst, first, rows, v);
    kernels_.winograd_pair_products(product_, v, u, rows * diff_dst_.columns, m);
    result(m, first, rows);
  });
}

void WinogradPairData::run(const unsigned short* diff_dst, std::size_t images, const float* weights,
                           void* scratch, float* diff_src) const {
  run(diff_dst, images, weights, scratch, [&](const float* m, std::size_t first, std::size_t rows) {
    kernels_.winograd_results(diff_src_, m, first, rows, diff_src);
  });
}

void WinogradPairData::run(const unsigned short* diff_dst, std::size_t images, const float* weights,
                           void* scratch, unsigned short* diff_src) const {
  run(diff_dst, images, weights, scratch, [&](const float* m, std::size_t first, std::size_t rows) {
    kernels_.winograd_bfloat16_results(diff_src_, m, first, rows, diff_src);
  });
}

WinogradPairWeightGradient::WinogradPairWeightGradient(const ConvolutionGeometry& g, PairValues src,
                                                       const Kernels& kernels)
    : kernels_(kernels),
      windows_(windows_of(kernels, src)),
      src_(tiles_of(g, g.channels)),
      diff_dst_(tiles_of(g, g.outputs)),
      rows_(rows_at_once(src_)) {
  src_.apart = apart(src_, rows_) / 2;
  diff_dst_.apart = apart(diff_dst_, rows_) / 2;
  product_ = {.terms = g.outputs, .lanes = g.channels, .src_apart = diff_dst_.apart, .dst_apart = src_.apart};
}

std::size_t WinogradPairWeightGradient::scratch_bytes() const {
  const std::size_t u = kWinogradElements * product_.terms * product_.lanes;
  return (u + kWinogradElements * (src_.apart + diff_dst_.apart)) * sizeof(float);
}

void WinogradPairWeightGradient::run(const void* src, const DiffDst* diff_dst, std::size_t images,
                                     Scratch* scratch, float* diff_weights) const {
  const std::size_t size = kWinogradElements * product_.terms * product_.lanes;
  float* u = scratch;
  auto* v = reinterpret_cast<unsigned*>(u + size);
  unsigned* e = v + kWinogradElements * src_.apart;
  std::fill_n(u, size, 0.0f);
  in_chunks(images * src_.rows, rows_, [&](std::size_t first, std::size_t rows) {
    windows_(src_, src, first, rows, v);
    kernels_.winograd_gradient_pairs(diff_dst_, diff_dst, first, rows, e);
    kernels_.winograd_pair_sums(product_, e, v, rows * src_.columns / 2, u);
  });
  kernels_.winograd_weight_gradients(product_.terms, product_.lanes, u, diff_weights);
}

}  // namespace qtrain::kernels
