#include "kernels/winograd_pairs.hpp"

#include "kernels/winograd_chunks.hpp"

namespace qtrain::kernels {

namespace {

std::size_t pairs_of(const WinogradProduct& product) {
  return kWinogradElements * product.terms / 2 * product.lanes;
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

}  // namespace qtrain::kernels
