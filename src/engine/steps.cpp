#include "engine/steps.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/random.hpp"
#include "engine/convert.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::engine {

namespace {

constexpr std::size_t kTileSize =
    512;  // floats: a tile, its recomputed twin and what they are made of stay in L1
constexpr std::size_t kRowTileSize = 2048;  // where a tile is whole rows, made in place

std::size_t tile_pixels(const Layout& layout) { return std::max<std::size_t>(1, kTileSize / layout.lanes); }

/// A run of pixels of one channel block.
struct Tile {
  std::size_t offset;   ///< first value in the tensor
  std::size_t channel;  ///< first lane's
  std::size_t pixels;
};

/// Calls visit(tile) over the tensor in memory order; with one block, images run on as pixels.
template <class Visit>
void for_each_tile(const Layout& layout, Visit&& visit) {
  const bool merge = layout.blocks == 1;
  const std::size_t images = merge ? 1 : layout.images;
  const std::size_t pixels = merge ? layout.pixels * layout.images : layout.pixels;
  const std::size_t step = tile_pixels(layout);
  std::size_t offset = 0;
  for (std::size_t n = 0; n < images; ++n)
    for (std::size_t b = 0; b < layout.blocks; ++b) {
      const std::size_t channel = b * layout.lanes;
      for (std::size_t p = 0; p < pixels; p += step) {
        const Tile tile{offset, channel, std::min(step, pixels - p)};
        visit(tile);
        offset += tile.pixels * layout.lanes;
      }
    }
}

std::vector<TensorId> tensors_of(const std::vector<Operand>& operands) {
  std::vector<TensorId> ids;
  for (const Operand& o : operands)
    if (o.product)
      ids.insert(ids.end(), {o.product->src.tensor, o.product->planes});
    else
      ids.push_back(o.z.tensor);
  return ids;
}

std::vector<TensorId> tensors_of(const std::vector<Stored>& tensors) {
  std::vector<TensorId> ids;
  for (const Stored& x : tensors) ids.push_back(x.tensor);
  return ids;
}

std::vector<TensorId> joined(std::vector<TensorId> x, const std::vector<TensorId>& y) {
  x.insert(x.end(), y.begin(), y.end());
  return x;
}

/// Where a tile of the tensor begins.
std::byte* place(const RunContext& context, const Stored& x, const Tile& tile) {
  return context.raw(x.tensor) + tile.offset * size_of(x.storage);
}

/// The tensor's values over one tile: in place, or as floats in `scratch`.
const float* values_of(const Stored& x, const RunContext& context, const Tile& tile, std::size_t lanes,
                       float* scratch) {
  if (x.storage == Storage::float32) return context.at(x.tensor) + tile.offset;
  load(x.storage, place(context, x, tile), scratch, tile.pixels * lanes);
  return scratch;
}

/// Four tiles of scratch: a result, each operand as floats, and a gradient.
struct Scratch {
  float* y;
  std::size_t size;
  Scratch(float* tiles, const Layout& layout) : y(tiles), size(tile_pixels(layout) * layout.lanes) {}
  Scratch(float* tiles, std::size_t tile_size) : y(tiles), size(tile_size) {}
  float* operand(std::size_t k) const { return y + (k + 1) * size; }
  float* gradient() const { return y + 3 * size; }
};

/// The same of an operand; a product's rows lie in `scratch` already.
const float* values_of(const Operand& operand, const RunContext& context, const Tile& tile, std::size_t lanes,
                       float* scratch) {
  return operand.product ? scratch : values_of(operand.z, context, tile, lanes, scratch);
}

/// y = sum of the operands' affine maps over one tile.
void combine(const std::vector<Operand>& operands, const RunContext& context, const Tile& tile,
             std::size_t lanes, const Scratch& scratch, float* y) {
  const auto& k = kernels::active();
  const float* z = values_of(operands[0], context, tile, lanes, scratch.operand(0));
  const float* a = operands[0].affine->a() + tile.channel;
  const float* b = operands[0].affine->b() + tile.channel;
  if (operands.size() == 1) {
    k.affine(z, a, b, y, tile.pixels, lanes);
    return;
  }
  const float* r = values_of(operands[1], context, tile, lanes, scratch.operand(1));
  k.affine_add(z, a, b, r, operands[1].affine->a() + tile.channel, operands[1].affine->b() + tile.channel, y,
               tile.pixels, lanes);
}

class Moments final : public Step {
 public:
  Moments(const std::string& name, const Operand& operand, TensorId tiles, const Layout& layout)
      : Step(name, StepKind::statistics, {operand.z.tensor, tiles}, {}),
        operand_(operand),
        tiles_(tiles),
        layout_(layout) {}
  void run(const RunContext& context) const override {
    const auto& k = kernels::active();
    double* sum = operand_.affine->partial_sum(context.shard);
    double* square = operand_.affine->partial_square(context.shard);
    std::fill(sum, square, 0.0);
    std::fill(square, square + (square - sum), 0.0);
    for_each_tile(layout_, [&](const Tile& t) {
      const float* z = values_of(operand_.z, context, t, layout_.lanes, context.at(tiles_));
      k.moments(z, operand_.affine->shift() + t.channel, sum + t.channel, square + t.channel, t.pixels,
                layout_.lanes);
    });
  }

 private:
  Operand operand_;
  TensorId tiles_;
  Layout layout_;
};

/// The first of the operands that are products; null if none is.
const BitProduct* product_of(const std::vector<Operand>& operands) {
  for (const Operand& o : operands)
    if (o.product) return &*o.product;
  return nullptr;
}

/// Pixels of a row of the product, and how many rows make a tile.
struct RowTiles {
  std::size_t height, width, rows;
  explicit RowTiles(const kernels::BitGeometry& g)
      : height(g.out_height()),
        width(g.out_width()),
        rows(std::clamp<std::size_t>(kRowTileSize / (width * g.outputs), 1, height)) {}
};

class BitProductStep final : public Step {
 public:
  BitProductStep(const std::string& name, StepKind kind, const BitProduct& product, const Stored& dst)
      : Step(name, kind, {product.src.tensor, product.planes}, {dst.tensor}), product_(product), dst_(dst) {}
  void run(const RunContext& context) const override {
    const kernels::BitConvolution& convolution = *product_.convolution;
    const kernels::BitGeometry& g = convolution.geometry();
    const auto* planes = reinterpret_cast<const unsigned char*>(context.raw(product_.planes));
    std::byte* dst = context.raw(dst_.tensor);
    for (std::size_t n = 0; n < product_.images; ++n) {
      pack(context, product_, n);
      if (dst_.storage == Storage::float32)
        convolution.run(planes, 1, reinterpret_cast<float*>(dst));
      else
        convolution.run(planes, 1, reinterpret_cast<short*>(dst));
      dst += g.out_height() * g.out_width() * g.outputs * size_of(dst_.storage);
    }
  }

 private:
  BitProduct product_;
  Stored dst_;
};

class Forward final : public ElementwiseForward {
 public:
  Forward(const std::string& name, const std::vector<Operand>& operands, const ActivationUnit* unit,
          TensorId tiles, const Layout& layout)
      : ElementwiseForward(
            name,
            product_of(operands) != nullptr ? StepKind::convolution_forward : StepKind::elementwise_forward,
            joined(tensors_of(operands), {tiles}), std::vector<TensorId>{}),
        operands_(operands),
        unit_(unit),
        tiles_(tiles),
        layout_(layout) {}

  void also_write(const Stored& dst) override {
    add_write(dst.tensor);
    if (dst.storage == Storage::float32)
      floats_ = dst.tensor;
    else
      narrow_.push_back(dst);
  }

  void run(const RunContext& context) const override {
    if (const BitProduct* product = product_of(operands_)) return run_by_rows(context, *product);
    const Scratch scratch(context.at(tiles_), layout_);
    for_each_tile(layout_, [&](const Tile& t) { finish(context, t, scratch); });
  }

 private:
  /// All products are of as many images and rows as the one given.
  void run_by_rows(const RunContext& context, const BitProduct& product) const {
    const RowTiles tiles(product.convolution->geometry());
    const Scratch scratch(context.at(tiles_), tiles.rows * tiles.width * layout_.lanes);
    std::size_t offset = 0;
    for (std::size_t n = 0; n < product.images; ++n) {
      for (const Operand& o : operands_)
        if (o.product) pack(context, *o.product, n);
      for (std::size_t row = 0; row < tiles.height; row += tiles.rows) {
        const std::size_t last = std::min(row + tiles.rows, tiles.height);
        for (std::size_t k = 0; k < operands_.size(); ++k)
          if (const auto& p = operands_[k].product)
            p->convolution->run(reinterpret_cast<const unsigned char*>(context.raw(p->planes)), 1, row, last,
                                scratch.operand(k));
        const Tile tile{offset, 0, (last - row) * tiles.width};
        finish(context, tile, scratch);
        offset += tile.pixels * layout_.lanes;
      }
    }
  }

  void finish(const RunContext& context, const Tile& t, const Scratch& scratch) const {
    float* y = floats_ >= 0 ? context.at(floats_) + t.offset : scratch.y;
    const std::size_t size = t.pixels * layout_.lanes;
    combine(operands_, context, t, layout_.lanes, scratch, y);
    activate({y, size});
    for (const Stored& dst : narrow_) store(y, dst.storage, place(context, dst, t), size);
  }

  void activate(std::span<float> y) const {
    if (unit_ == nullptr) return;
    if (unit_->observed != nullptr) observe(y, *unit_->observed);
    if (unit_->quantizer)
      unit_->quantizer->forward(y, y);
    else
      kernels::active().relu(y.data(), y.data(), y.size());
  }

  static void observe(std::span<const float> x, ActivationUnit::Observed& observed) {
    for (const float value : x) {
      observed.magnitudes += std::abs(static_cast<double>(value));
      observed.largest = std::max(observed.largest, value);
    }
    observed.count += x.size();
  }

  std::vector<Operand> operands_;
  const ActivationUnit* unit_;
  TensorId tiles_, floats_ = -1;
  std::vector<Stored> narrow_;  ///< the storages wanted besides
  Layout layout_;
};

class ElementwiseBackward final : public Step {
 public:
  ElementwiseBackward(const std::string& name, const std::vector<Stored>& diff_dst,
                      const std::vector<Operand>& operands, ActivationUnit* unit, const Stored& g,
                      TensorId tiles, const Layout& layout)
      : Step(name, StepKind::elementwise_backward,
             joined(joined(tensors_of(diff_dst), tensors_of(operands)), {tiles}), {g.tensor}),
        diff_dst_(diff_dst),
        operands_(operands),
        unit_(unit),
        g_(g),
        tiles_(tiles),
        layout_(layout) {}

  void run(const RunContext& context) const override {
    for (const Operand& o : operands_)
      if (o.affine->wants_gradient_sums())
        std::fill(o.affine->partial_sum(context.shard),
                  o.affine->partial_sum(context.shard) +
                      2 * (o.affine->partial_square(context.shard) - o.affine->partial_sum(context.shard)),
                  0.0);
    if (unit_ != nullptr) std::ranges::fill(unit_->partial[static_cast<std::size_t>(context.shard)], 0.0);
    const Scratch scratch(context.at(tiles_), layout_);
    for_each_tile(layout_, [&](const Tile& t) {
      float* g = g_.storage == Storage::float32 ? context.at(g_.tensor) + t.offset : scratch.gradient();
      gather(context, t, scratch, g);
      if (unit_ != nullptr) through_activation(context, t, scratch, g);
      for (const Operand& o : operands_) add_sums(context, t, o, scratch, g);
      if (g == scratch.gradient()) store(g, g_.storage, place(context, g_, t), t.pixels * layout_.lanes);
    });
  }

 private:
  void gather(const RunContext& context, const Tile& t, const Scratch& scratch, float* g) const {
    const std::size_t size = t.pixels * layout_.lanes;
    if (diff_dst_.size() == 1) {
      load(diff_dst_[0].storage, place(context, diff_dst_[0], t), g, size);
      return;
    }
    const float* sum = values_of(diff_dst_[0], context, t, layout_.lanes, g);
    for (std::size_t k = 1; k < diff_dst_.size(); ++k, sum = g)
      kernels::active().add(sum, values_of(diff_dst_[k], context, t, layout_.lanes, scratch.y), g, size);
  }

  void through_activation(const RunContext& context, const Tile& t, const Scratch& scratch, float* g) const {
    const std::size_t size = t.pixels * layout_.lanes;
    float* y = scratch.y;
    combine(operands_, context, t, layout_.lanes, scratch, y);
    if (!unit_->quantizer) {
      kernels::active().window(y, 0.0f, std::numeric_limits<float>::infinity(), g, size);
      return;
    }
    auto& partial = unit_->partial[static_cast<std::size_t>(context.shard)];
    if (!partial.empty()) unit_->quantizer->learned_gradient({y, size}, {g, size}, partial);
    unit_->ste->multiply({y, size}, unit_->quantizer->range(), {g, size});
  }

  void add_sums(const RunContext& context, const Tile& t, const Operand& o, const Scratch& scratch,
                const float* g) const {
    if (!o.affine->wants_gradient_sums()) return;
    double* sum = o.affine->partial_sum(context.shard) + t.channel;
    if (!o.affine->batch_norm()) {
      kernels::active().lane_sums(g, sum, t.pixels, layout_.lanes);
      return;
    }
    const float* z = values_of(o.z, context, t, layout_.lanes, scratch.operand(0));
    kernels::active().products(g, z, o.affine->mean() + t.channel, sum,
                               o.affine->partial_square(context.shard) + t.channel, t.pixels, layout_.lanes);
  }

  std::vector<Stored> diff_dst_;
  std::vector<Operand> operands_;
  ActivationUnit* unit_;
  Stored g_;
  TensorId tiles_;
  Layout layout_;
};

class AffineBackward final : public Step {
 public:
  AffineBackward(const std::string& name, const Stored& g, const Operand& operand, const Stored& diff,
                 TensorId tiles, const Layout& layout)
      : Step(name, StepKind::elementwise_backward, {g.tensor, operand.z.tensor, tiles}, {diff.tensor}),
        g_(g),
        diff_(diff),
        operand_(operand),
        tiles_(tiles),
        layout_(layout) {}
  void run(const RunContext& context) const override {
    const Affine& affine = *operand_.affine;
    const Scratch scratch(context.at(tiles_), layout_);
    for_each_tile(layout_, [&](const Tile& t) {
      const float* g = values_of(g_, context, t, layout_.lanes, scratch.gradient());
      float* diff = diff_.storage == Storage::float32 ? context.at(diff_.tensor) + t.offset : scratch.y;
      const float* z = values_of(operand_.z, context, t, layout_.lanes, scratch.operand(0));
      kernels::active().affine_pair(g, z, affine.p() + t.channel, affine.q() + t.channel,
                                    affine.r() + t.channel, diff, t.pixels, layout_.lanes);
      if (diff == scratch.y) store(diff, diff_.storage, place(context, diff_, t), t.pixels * layout_.lanes);
    });
  }

 private:
  Stored g_, diff_;
  Operand operand_;
  TensorId tiles_;
  Layout layout_;
};

class Sum final : public Step {
 public:
  Sum(const std::string& name, TensorId x1, TensorId x2, TensorId dst, std::size_t size)
      : Step(name, StepKind::elementwise_backward, {x1, x2}, {dst}),
        x1_(x1),
        x2_(x2),
        dst_(dst),
        size_(size) {}
  void run(const RunContext& context) const override {
    kernels::active().add(context.at(x1_), context.at(x2_), context.at(dst_), size_);
  }

 private:
  TensorId x1_, x2_, dst_;
  std::size_t size_;
};

class Propagated final : public Step {
 public:
  Propagated(const std::string& name, const quant::PropagatedQuantizer& quantizer, int layer,
             std::uint64_t seed, TensorId src, TensorId dst, const Layout& layout)
      : Step(name, StepKind::elementwise_backward, {src}, {dst}),
        quantizer_(quantizer),
        layer_(static_cast<std::uint32_t>(layer)),
        seed_(seed),
        src_(src),
        dst_(dst),
        images_(layout.images),
        size_(layout.size() / layout.images) {}
  void run(const RunContext& context) const override {
    std::copy_n(context.at(src_), images_ * size_, context.at(dst_));
    for (std::size_t i = 0; i < images_; ++i) {
      RandomStream random(seed_, Purpose::propagated_gradients, layer_,
                          context.image + static_cast<std::uint32_t>(i), context.step);
      quantizer_.quantize({context.at(dst_) + i * size_, size_}, random);
    }
  }

 private:
  const quant::PropagatedQuantizer& quantizer_;
  std::uint32_t layer_;
  std::uint64_t seed_;
  TensorId src_, dst_;
  std::size_t images_, size_;
};

}  // namespace

void pack(const RunContext& context, const BitProduct& product, std::size_t n) {
  const kernels::BitGeometry& g = product.convolution->geometry();
  const std::byte* src =
      context.raw(product.src.tensor) + n * g.height * g.width * g.channels * size_of(product.src.storage);
  auto* planes = reinterpret_cast<unsigned char*>(context.raw(product.planes));
  if (product.src.storage == Storage::float32)
    product.convolution->pack(reinterpret_cast<const float*>(src), 1, planes);
  else
    product.convolution->pack(reinterpret_cast<const unsigned char*>(src), 1, planes);
}

std::size_t tiles_bytes(const Layout& layout) {
  return 4 * tile_pixels(layout) * layout.lanes * sizeof(float);
}

std::size_t row_tiles_bytes(const std::vector<Operand>& operands) {
  const kernels::BitGeometry& g = product_of(operands)->convolution->geometry();
  const RowTiles tiles(g);
  return 3 * tiles.rows * tiles.width * g.outputs * sizeof(float);
}

std::unique_ptr<Step> moments_step(const std::string& name, const Operand& operand, TensorId tiles,
                                   const Layout& layout) {
  return std::make_unique<Moments>(name, operand, tiles, layout);
}

std::unique_ptr<ElementwiseForward> elementwise_forward(const std::string& name,
                                                        const std::vector<Operand>& operands,
                                                        const ActivationUnit* unit, TensorId tiles,
                                                        const Layout& layout) {
  return std::make_unique<Forward>(name, operands, unit, tiles, layout);
}

std::unique_ptr<Step> elementwise_backward(const std::string& name, const std::vector<Stored>& diff_dst,
                                           const std::vector<Operand>& operands, ActivationUnit* unit,
                                           const Stored& g, TensorId tiles, const Layout& layout) {
  return std::make_unique<ElementwiseBackward>(name, diff_dst, operands, unit, g, tiles, layout);
}

std::unique_ptr<Step> affine_backward(const std::string& name, const Stored& g, const Operand& operand,
                                      const Stored& diff, TensorId tiles, const Layout& layout) {
  return std::make_unique<AffineBackward>(name, g, operand, diff, tiles, layout);
}

std::unique_ptr<Step> propagated_step(const std::string& name, const quant::PropagatedQuantizer& quantizer,
                                      int layer, std::uint64_t seed, TensorId src, TensorId dst,
                                      const Layout& layout) {
  return std::make_unique<Propagated>(name, quantizer, layer, seed, src, dst, layout);
}

std::unique_ptr<Step> bit_product_step(const std::string& name, StepKind kind, const BitProduct& product,
                                       const Stored& dst) {
  return std::make_unique<BitProductStep>(name, kind, product, dst);
}

std::unique_ptr<Step> sum_step(const std::string& name, TensorId x1, TensorId x2, TensorId dst,
                               std::size_t size) {
  return std::make_unique<Sum>(name, x1, x2, dst, size);
}

}  // namespace qtrain::engine
