#include "engine/steps.hpp"

#include <algorithm>
#include <cmath>

#include "engine/convert.hpp"
#include "engine/folded_codes.hpp"
#include "engine/tiles.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::engine {

namespace {

constexpr std::size_t kRowTileSize = 4096;  // floats, where a tile is whole rows, made in place

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
  explicit RowTiles(const kernels::ConvolutionGeometry& g)
      : height(g.out_height()),
        width(g.out_width()),
        rows(std::clamp<std::size_t>(kRowTileSize / (width * g.outputs), 1, height)) {}
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
        layout_(layout) {
    if (FoldedCodes::serves(operands_, unit_, layout_)) folded_.emplace(operands_, *unit_, layout_);
  }

  void prepare() override { is_folded_ = to_codes_alone_ && folded_ && folded_->find(); }

  void also_write(const Stored& dst) override {
    add_write(dst.tensor);
    if (dst.storage == Storage::float32)
      floats_ = dst.tensor;
    else
      narrow_.push_back(dst);
    const bool one = floats_ < 0 && narrow_.size() == 1;
    to_codes_alone_ = one && narrow_[0].storage == Storage::unsigned_byte;
    rounds_up_ = to_codes_alone_ && rounds_up();
  }

  void run(const RunContext& context) const override {
    if (const BitProduct* product = product_of(operands_)) return run_by_rows(context, *product);
    const Scratch scratch(context.at(tiles_), layout_);
    if (makes_codes())
      for_each_tile(layout_, [&](const Tile& t) { make_codes(context, t, scratch); });
    else
      for_each_tile(layout_, [&](const Tile& t) { finish(context, t, scratch); });
  }

 private:
  /// Whether Kernels::code_pass does it all.
  bool rounds_up() const {
    return unit_ != nullptr && unit_->quantizer && unit_->quantizer->is_ceiling() &&
           has_passes(operands_, layout_);
  }
  bool makes_codes() const { return (is_folded_ || rounds_up_) && unit_->observed == nullptr; }

  /// Rows of a product: 16-bit integers where make_codes() takes them.
  void run_rows(const RunContext& context, const BitProduct& product, std::size_t first, std::size_t last,
                float* dst) const {
    const auto* planes = reinterpret_cast<const unsigned char*>(context.raw(product.planes));
    if (makes_codes() && product.convolution->fits_shorts())
      product.convolution->run(planes, 1, first, last, reinterpret_cast<short*>(dst));
    else
      product.convolution->run(planes, 1, first, last, dst);
  }

  void make_codes(const RunContext& context, const Tile& t, const Scratch& scratch) const {
    if (is_folded_) return make_folded_codes(context, t, scratch);
    const quant::ActivationQuantizer& quantizer = *unit_->quantizer;
    kernels::CodePass pass{.z = pass_operand(operands_[0], context, t, layout_.lanes, scratch.operand(0)),
                           .r = {},
                           .step = quantizer.scale(),
                           .top = static_cast<float>(quantizer.highest_code()),
                           .codes = reinterpret_cast<unsigned char*>(place(context, narrow_[0], t))};
    if (operands_.size() == 2)
      pass.r = pass_operand(operands_[1], context, t, layout_.lanes, scratch.operand(1));
    kernels::active().code_pass(pass, t.pixels, layout_.lanes);
  }

  void make_folded_codes(const RunContext& context, const Tile& t, const Scratch& scratch) const {
    const short* z = nullptr;
    const unsigned char* r = nullptr;
    for (std::size_t k = 0; k < operands_.size(); ++k)
      if (operands_[k].product)
        z = reinterpret_cast<const short*>(scratch.operand(k));
      else
        r = reinterpret_cast<const unsigned char*>(place(context, operands_[k].z, t));
    folded_->run(z, r, reinterpret_cast<unsigned char*>(place(context, narrow_[0], t)), t.pixels);
  }

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
          if (const auto& p = operands_[k].product) run_rows(context, *p, row, last, scratch.operand(k));
        const Tile tile{offset, 0, (last - row) * tiles.width};
        if (makes_codes())
          make_codes(context, tile, scratch);
        else
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
      observed.positive += std::max(static_cast<double>(value), 0.0);
      observed.largest = std::max(observed.largest, value);
    }
    observed.count += x.size();
  }

  std::vector<Operand> operands_;
  const ActivationUnit* unit_;
  TensorId tiles_, floats_ = -1;
  std::vector<Stored> narrow_;  ///< the storages wanted besides
  bool to_codes_alone_ = false, rounds_up_ = false, is_folded_ = false;
  std::optional<FoldedCodes> folded_;
  Layout layout_;
};

}  // namespace

std::size_t row_tiles_bytes(const std::vector<Operand>& operands) {
  const kernels::ConvolutionGeometry& g = product_of(operands)->convolution->geometry();
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

}  // namespace qtrain::engine
