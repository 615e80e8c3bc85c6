#include "kernels/winograd_gradient.hpp"

#include <algorithm>

#include "kernels/winograd_chunks.hpp"

namespace qtrain::kernels {

template <class Value>
WinogradGradient<Value>::WinogradGradient(const ConvolutionGeometry& g, SrcValues src, const Kernels& kernels)
    : weight_gradients_(kernels.winograd_weight_gradients),
      src_(tiles_of(g, g.channels)),
      diff_dst_(tiles_of(g, g.outputs)),
      rows_(rows_at_once(src_)) {
  if constexpr (kFloats) {
    windows_ = kernel_for(src, kernels.winograd_windows, kernels.winograd_unsigned_byte_windows,
                          kernels.winograd_signed_byte_windows);
    gradients_ = kernels.winograd_gradients;
    sums_ = kernels.winograd_sums;
  } else {
    windows_ = kernel_for(src, kernels.winograd_window_pairs, kernels.winograd_unsigned_byte_window_pairs,
                          kernels.winograd_signed_byte_window_pairs);
    gradients_ = kernels.winograd_gradient_pairs;
    sums_ = kernels.winograd_pair_sums;
  }
  src_.apart = apart(src_, rows_) / kTogether;
  diff_dst_.apart = apart(diff_dst_, rows_) / kTogether;
  product_ = {.terms = g.outputs, .lanes = g.channels, .src_apart = diff_dst_.apart, .dst_apart = src_.apart};
}

template <class Value>
std::size_t WinogradGradient<Value>::sums_size() const {
  return kWinogradElements * product_.terms * product_.lanes;
}

template <class Value>
std::size_t WinogradGradient<Value>::scratch_bytes() const {
  return sums_size() * sizeof(float) + kWinogradElements * (src_.apart + diff_dst_.apart) * sizeof(Word);
}

template <class Value>
void WinogradGradient<Value>::run(const void* src, const DiffDst* diff_dst, std::size_t images,
                                  Scratch* scratch, float* diff_weights) const {
  float* u = scratch;
  auto* v = reinterpret_cast<Word*>(u + sums_size());
  Word* e = v + kWinogradElements * src_.apart;
  std::fill_n(u, sums_size(), 0.0f);
  in_chunks(images * src_.rows, rows_, [&](std::size_t first, std::size_t rows) {
    windows_(src_, src, first, rows, v);
    gradients_(diff_dst_, diff_dst, first, rows, e);
    sums_(product_, e, v, rows * src_.columns / kTogether, u);
  });
  weight_gradients_(product_.terms, product_.lanes, u, diff_weights);
}

template class WinogradGradient<float>;
template class WinogradGradient<unsigned short>;

}  // namespace qtrain::kernels
