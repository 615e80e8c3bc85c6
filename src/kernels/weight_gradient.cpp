#include "kernels/weight_gradient.hpp"

#include <algorithm>

namespace qtrain::kernels {
namespace {

/// Of images packed at once: they stay in the second cache.
constexpr std::size_t kChunkBytes = std::size_t{1} << 18;

void finish(PairLayout& layout) {
  layout.blocks = (layout.channels + layout.lanes - 1) / layout.lanes;
  layout.row_words = layout.runs * layout.pairs * layout.lanes;
  layout.block_words = layout.height * layout.row_words;
  layout.image_words = layout.blocks * layout.block_words;
}

}  // namespace

WeightGradient::WeightGradient(const ConvolutionGeometry& g, SrcValues src, const Kernels& kernels)
    : kernels_(kernels),
      pack_src_(kernel_for(src, kernels.pack_pairs, kernels.pack_unsigned_byte_pairs,
                           kernels.pack_signed_byte_pairs)),
      taps_(g.kernel),
      src_bytes_(g.height * g.width * g.channels * (src == SrcValues::as_diff_dst ? 2 : 1)) {
  plan_.kernel = g.kernel;
  plan_.stride = g.stride;
  plan_.padding = g.padding;
  plan_.taps = taps_.data();
  plan_.diff_dst.height = g.out_height();
  plan_.diff_dst.width = g.out_width();
  plan_.diff_dst.channels = g.outputs;
  plan_.diff_dst.lanes = 8;
  plan_.diff_dst.step = 1;
  plan_.diff_dst.pairs = (g.out_width() + 1) / 2;
  plan_.diff_dst.runs = 1;
  finish(plan_.diff_dst);
  lay_out_src(g);
  images_ = std::max<std::size_t>(1, kChunkBytes / scratch_bytes());  // which are those of one image here
}

// A tap's left columns begin at kx - padding and are 2 stride apart: taps that are multiples of it apart
// share a run.
void WeightGradient::lay_out_src(const ConvolutionGeometry& g) {
  const std::size_t apart = 2 * g.stride;
  PairLayout& src = plan_.src;
  src.height = g.height;
  src.width = g.width;
  src.channels = g.channels;
  src.lanes = 16;
  src.step = g.stride;
  src.pairs = plan_.diff_dst.pairs + (g.kernel - 1) / apart;
  src.runs = std::min(g.kernel, apart);
  src.first = -static_cast<std::ptrdiff_t>(g.padding);
  finish(src);
  for (std::size_t kx = 0; kx < g.kernel; ++kx) taps_[kx] = (kx % apart * src.pairs + kx / apart) * src.lanes;
}

std::size_t WeightGradient::scratch_bytes() const {
  return images_ * (plan_.src.image_words + plan_.diff_dst.image_words) * sizeof(unsigned);
}

void WeightGradient::run(const void* src, const unsigned short* diff_dst, std::size_t images,
                         unsigned* scratch, float* diff_weights) const {
  const PairLayout &s = plan_.src, &d = plan_.diff_dst;
  unsigned* packed = scratch + images_ * s.image_words;
  std::fill_n(diff_weights, d.channels * plan_.kernel * plan_.kernel * s.channels, 0.0f);
  for (std::size_t n = 0; n < images; n += images_) {
    const std::size_t count = std::min(images_, images - n);
    pack_src_(s, static_cast<const unsigned char*>(src) + n * src_bytes_, count, scratch);
    kernels_.pack_pairs(d, diff_dst + n * d.height * d.width * d.channels, count, packed);
    kernels_.pair_products(plan_, scratch, packed, count, diff_weights);
  }
}

}  // namespace qtrain::kernels
