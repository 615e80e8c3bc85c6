#include "kernels/winograd.hpp"

#include "kernels/winograd_chunks.hpp"

namespace qtrain::kernels {
namespace {

std::size_t weights_of(const WinogradProduct& product) {
  return kWinogradElements * product.terms * product.lanes;
}

std::size_t bytes_of(const WinogradProduct& product) {
  return (weights_of(product) + kWinogradElements * (product.src_apart + product.dst_apart)) * sizeof(float);
}

}  // namespace

bool has_winograd(const ConvolutionGeometry& g) {
  return g.kernel == 3 && g.stride == 1 && g.padding == 1 && g.end_padding == 0 && g.channels % 16 == 0 &&
         g.outputs % 16 == 0;
}

WinogradConvolution::WinogradConvolution(const ConvolutionGeometry& g, Direction direction,
                                         const Kernels& kernels)
    : kernels_(kernels),
      turned_(direction == Direction::backward_data),
      src_(tiles_of(g, turned_ ? g.outputs : g.channels)),
      dst_(tiles_of(g, turned_ ? g.channels : g.outputs)),
      rows_(rows_at_once(src_)) {
  src_.apart = apart(src_, rows_);
  dst_.apart = apart(dst_, rows_);
  product_ = {
      .terms = src_.channels, .lanes = dst_.channels, .src_apart = src_.apart, .dst_apart = dst_.apart};
}

std::size_t WinogradConvolution::scratch_bytes() const { return bytes_of(product_); }

void WinogradConvolution::run(const float* src, std::size_t images, const float* weights, float* scratch,
                              float* dst) const {
  float *u = scratch, *v = u + weights_of(product_), *m = v + kWinogradElements * src_.apart;
  kernels_.winograd_weights(product_.terms, product_.lanes, weights, turned_, u);
  in_chunks(images * src_.rows, rows_, [&](std::size_t first, std::size_t rows) {
    kernels_.winograd_windows(src_, src, first, rows, v);
    kernels_.winograd_products(product_, v, u, rows * src_.columns, m);
    kernels_.winograd_results(dst_, m, first, rows, dst);
  });
}

}  // namespace qtrain::kernels
