#include <algorithm>
#include <limits>

#include "base/random.hpp"
#include "engine/convert.hpp"
#include "engine/steps.hpp"
#include "engine/tiles.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::engine {

namespace {

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
        layout_(layout) {
    std::vector<Stored> tensors = diff_dst;
    for (const Operand& o : operands) tensors.push_back(o.z);
    has_passes_ = diff_dst.size() <= 2 && has_passes(tensors, layout);
  }

  void run(const RunContext& context) const override {
    for (const Operand& o : operands_)
      if (o.affine->wants_gradient_sums())
        std::fill(o.affine->partial_sum(context.shard),
                  o.affine->partial_sum(context.shard) +
                      2 * (o.affine->partial_square(context.shard) - o.affine->partial_sum(context.shard)),
                  0.0);
    if (unit_ != nullptr) std::ranges::fill(unit_->partial[static_cast<std::size_t>(context.shard)], 0.0);
    if (const auto window = window_of_pass())
      return for_each_tile(layout_, [&](const Tile& t) { run_pass(context, t, *window); });
    const Scratch scratch(context.at(tiles_), layout_);
    for_each_tile(layout_, [&](const Tile& t) {
      float* g = g_.storage == Storage::float32 ? context.at(g_.tensor) + t.offset : scratch.gradient();
      fetch_next_to_write(g_, context, t, layout_.lanes);
      gather(context, t, scratch, g);
      if (unit_ != nullptr) through_activation(context, t, scratch, g);
      for (std::size_t k = 0; k < operands_.size(); ++k) add_sums(context, t, k, scratch, g);
      if (g == scratch.gradient()) store(g, g_.storage, place(context, g_, t), t.pixels * layout_.lanes);
    });
  }

 private:
  /// What the activation lets through, where Kernels::window_pass does it all.
  std::optional<quant::ActivationRange> window_of_pass() const {
    if (!has_passes_ || unit_ == nullptr) return {};
    if (!unit_->quantizer) return quant::ActivationRange{0, std::numeric_limits<float>::infinity(), 1};
    if (!unit_->partial[0].empty()) return {};  // learned values want sums of their own
    return unit_->ste->window(unit_->quantizer->range());
  }

  void run_pass(const RunContext& context, const Tile& t, const quant::ActivationRange& window) const {
    kernels::WindowPass pass{.diff_dst = {},
                             .z = pass_operand(operands_[0], context, t, layout_.lanes, nullptr),
                             .r = {},
                             .z_sums = pass_sums(context, t, operands_[0]),
                             .r_sums = {},
                             .low = window.low,
                             .high = window.high,
                             .slope = window.slope,
                             .g = place(context, g_, t),
                             .values = pass_values(g_.storage)};
    fetch_next_to_write(g_, context, t, layout_.lanes);
    for (std::size_t k = 0; k < diff_dst_.size(); ++k)
      pass.diff_dst[k] = pass_source(diff_dst_[k], context, t, layout_.lanes);
    if (operands_.size() == 2) {
      pass.r = pass_operand(operands_[1], context, t, layout_.lanes, nullptr);
      pass.r_sums = pass_sums(context, t, operands_[1]);
    }
    kernels::active().window_pass(pass, t.pixels, layout_.lanes);
  }

  static kernels::PassSums pass_sums(const RunContext& context, const Tile& t, const Operand& o) {
    if (!o.affine->wants_gradient_sums()) return {};
    return {o.affine->mean() + t.channel, o.affine->partial_sum(context.shard) + t.channel,
            o.affine->batch_norm() ? o.affine->partial_square(context.shard) + t.channel : nullptr};
  }

  void gather(const RunContext& context, const Tile& t, const Scratch& scratch, float* g) const {
    const std::size_t size = t.pixels * layout_.lanes;
    const float* sum = values_of(diff_dst_[0], context, t, layout_.lanes, g);
    if (diff_dst_.size() == 1 && sum != g) std::copy_n(sum, size, g);
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

  void add_sums(const RunContext& context, const Tile& t, std::size_t k, const Scratch& scratch,
                const float* g) const {
    const Operand& o = operands_[k];
    if (!o.affine->wants_gradient_sums()) return;
    double* sum = o.affine->partial_sum(context.shard) + t.channel;
    if (!o.affine->batch_norm()) {
      kernels::active().lane_sums(g, sum, t.pixels, layout_.lanes);
      return;
    }
    const float* z = unit_ != nullptr ? loaded(o.z, context, t, scratch.operand(k))
                                      : values_of(o.z, context, t, layout_.lanes, scratch.operand(k));
    kernels::active().products(g, z, o.affine->mean() + t.channel, sum,
                               o.affine->partial_square(context.shard) + t.channel, t.pixels, layout_.lanes);
  }

  std::vector<Stored> diff_dst_;
  std::vector<Operand> operands_;
  ActivationUnit* unit_;
  Stored g_;
  TensorId tiles_;
  Layout layout_;
  bool has_passes_;
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
        layout_(layout),
        has_passes_(has_passes({g, operand.z}, layout)) {}
  void run(const RunContext& context) const override {
    const Affine& affine = *operand_.affine;
    if (has_passes_)
      return for_each_tile(layout_, [&](const Tile& t) {
        const kernels::PairPass pass{.g = pass_source(g_, context, t, layout_.lanes),
                                     .z = pass_source(operand_.z, context, t, layout_.lanes),
                                     .p = affine.p() + t.channel,
                                     .q = affine.q() + t.channel,
                                     .r = affine.r() + t.channel,
                                     .diff = place(context, diff_, t),
                                     .values = pass_values(diff_.storage)};
        kernels::active().pair_pass(pass, t.pixels, layout_.lanes);
      });
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
  bool has_passes_;
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

std::unique_ptr<Step> sum_step(const std::string& name, TensorId x1, TensorId x2, TensorId dst,
                               std::size_t size) {
  return std::make_unique<Sum>(name, x1, x2, dst, size);
}

}  // namespace qtrain::engine
