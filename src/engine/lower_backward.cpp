#include <algorithm>
#include <type_traits>

#include "base/cast.hpp"
#include "engine/lowering.hpp"
#include "engine/weight_gradient_step.hpp"
#include "engine/winograd_step.hpp"

namespace qtrain::engine {

using onednn::Built;
using onednn::Desc;

namespace {

/// Whether products of pairs are made for the shape: they take 16 channels and three taps at a time, so that
/// fewer waste the others; with many channels oneDNN is faster (measured). A rule and no measurement, for the
/// order of additions hangs on it.
bool suits_pairs(const kernels::ConvolutionGeometry& g) {
  return g.kernel >= 3 && g.channels >= 16 && g.channels <= 128;
}

kernels::SrcValues src_values(Storage storage) {
  if (storage == Storage::unsigned_byte) return kernels::SrcValues::unsigned_bytes;
  return storage == Storage::signed_byte ? kernels::SrcValues::signed_bytes : kernels::SrcValues::as_diff_dst;
}

}  // namespace

void Lowering::finish_with_loss() {
  const int last = narrow<int>(shared_.graph.layers.size()) - 1;
  const std::string& name = shared_.graph.layers.back().name;
  // The logits are kept for whoever asks, so they are always a tensor of their own.
  const std::vector<Result::Term> terms = terms_of(last);
  const int logits = elementwise(name, terms, nullptr);
  const int classes = shared_.graph.classes, targets = shared_.graph.targets;
  const Desc rows = targets == 1 ? onednn::plain({images_, classes})
                                 : onednn::channels_last({images_, classes, targets, 1});
  QTRAIN_CHECK(value(logits).desc == rows, "the last layer, {}, does not end in {} logits", name, classes);
  out_->logits = floats(logits, name);
  program().keep(out_->logits);
  const TensorId diff = training_ ? program().tensor("loss gradient", rows.get_size()) : -1;
  const TensorId scratch = program().tensor("loss scratch", loss_scratch_bytes(classes));
  if (training_) value(logits).diffs = {{diff}};
  program().step(
      loss_step(shared_.loss, out_->logits, diff, scratch, images_ * targets, classes, &shared_.losses));
}

void Lowering::backward(Node& node) {
  if (value(node.dst).diffs.empty()) return;  // nothing below learns
  switch (node.kind) {
    case Node::Kind::product:
      return backward_product(node);
    case Node::Kind::elementwise:
      return backward_elementwise(node);
    case Node::Kind::pool:
      return backward_pool(node);
    case Node::Kind::response_norm:
      return backward_response_norm(node);
    case Node::Kind::shortcut:
      return backward_shortcut(node);
    case Node::Kind::relayout:
      return backward_relayout(node);
    case Node::Kind::embedding:
      return backward_embedding(node);
    case Node::Kind::lstm:
      return backward_lstm(node);
    case Node::Kind::dropout:
      return backward_dropout(node);
  }
}

TensorId Lowering::gradient_of(int v, const std::string& name, Storage storage) {
  auto& diffs = value(v).diffs;
  const std::size_t size = value(v).layout.size();
  while (diffs.size() > 1) {
    const TensorId x1 = converted(diffs[0], Storage::float32, size, name);
    const TensorId x2 = converted(diffs[1], Storage::float32, size, name);
    const TensorId sum = program().tensor(name + " gradient", value(v).desc.get_size());
    program().step(sum_step(name, x1, x2, sum, size));
    diffs.erase(diffs.begin());
    diffs[0] = {sum};
  }
  return converted(diffs[0], storage, size, name);
}

TensorId Lowering::new_diff(int v, const std::string& name, Storage storage) {
  const TensorId id = program().values(name + " diff", value(v).layout.size(), storage);
  value(v).diffs.push_back({id, storage});
  return id;
}

void Lowering::backward_elementwise(Node& node) {
  const Value& dst = value(node.dst);
  const Stored g{program().values(node.name + " g", dst.layout.size(), gradient_), gradient_};
  const TensorId tiles = program().tensor(node.name + " tiles", tiles_bytes(dst.layout));
  program().step(elementwise_backward(node.name, dst.diffs, operands_of(node.terms, node.name), node.unit, g,
                                      tiles, dst.layout));
  bool barrier = false;
  for (const auto& term : node.terms) {
    if (term.affine->wants_gradient_sums()) backward_sums_.emplace_back(term.affine, dst.layout.pixels);
    barrier |= term.affine->batch_norm() && value(term.value).needs_gradient;
  }
  if (barrier) flush_backward_sums();
  for (const auto& term : node.terms) {
    Value& z = value(term.value);
    if (!z.needs_gradient) continue;
    if (!term.affine->batch_norm()) {
      z.diffs.push_back(g);
      continue;
    }
    const Stored diff{new_diff(term.value, node.name, gradient_), gradient_};
    program().step(
        affine_backward(node.name, g, {exact(term.value, node.name), term.affine}, diff, tiles, z.layout));
  }
}

void Lowering::flush_backward_sums() {
  if (backward_sums_.empty()) return;
  program().barrier([sums = backward_sums_](int shards, std::size_t images) {
    for (const auto& [affine, pixels] : sums) affine->combine_backward(shards, images * pixels);
  });
  backward_sums_.clear();
}

// The data gradient comes last: the step after it reads it from cache.
void Lowering::backward_product(Node& node) {
  const Stored given{gradient_of(node.dst, node.name, gradient_), gradient_};
  const TensorId diff_dst =
      converted(propagated(node, given), operand_, value(node.dst).layout.size(), node.name);
  backward_weights(node, diff_dst);
  if (value(node.src).needs_gradient) backward_data(node, diff_dst);
}

Stored Lowering::propagated(const Node& node, const Stored& diff_dst) {
  if (!shared_.propagated || node.weights->method == nullptr) return diff_dst;
  const Value& dst = value(node.dst);
  const TensorId quantized = program().tensor(node.name + " quantized diff", dst.desc.get_size());
  program().step(propagated_step(node.name, *shared_.propagated, dst.layer, shared_.seed, diff_dst.tensor,
                                 quantized, dst.layout));
  return {quantized};
}

void Lowering::backward_weights(const Node& node, TensorId diff_dst) {
  const bool pairs = operand_ == Storage::bfloat16 && !node.linear && kernels::multiplies_bfloat16() &&
                     suits_pairs(geometry_of(node));
  const Partial partial = by_winograd_pairs(node)
                              ? weights_by<kernels::WinogradPairWeightGradient>(node, diff_dst)
                          : pairs             ? weights_by<kernels::WeightGradient>(node, diff_dst)
                          : by_winograd(node) ? weights_by<kernels::WinogradWeightGradient>(node, diff_dst)
                                              : weights_by_call(node, diff_dst);
  add_partial(*node.weights, partial, value(node.src).unit, node.name);
}

void Lowering::add_partial(const ParameterSlot& slot, const Partial& partial, const ActivationUnit* unit,
                           const std::string& name) {
  const bool first_program = !shared_.gradients.contains(slot.index);
  auto& gradient = shared_.gradients[slot.index];
  if (first_program) prepare_gradient(gradient, partial.desc, slot, unit);
  out_->partials.emplace_back(slot.index,
                              in_partial_layout(partial.tensor, partial.desc, gradient.desc, name));
}

Lowering::Partial Lowering::weights_by_call(const Node& node, TensorId diff_dst) {
  const TensorId src = stored(node.src, operand_, node.name);
  const Built built = node.linear ? onednn::linear_backward_weights(node.forward)
                                  : onednn::convolution_backward_weights(node.forward, node.window);
  const TensorId partial = program().tensor(node.name + " weight gradient", built.weights.get_size(), true);
  call(node.name, node.linear ? StepKind::linear : StepKind::convolution_backward_weights, built,
       {{DNNL_ARG_SRC, built.src, src, nullptr},
        {DNNL_ARG_DIFF_DST, built.dst, diff_dst, nullptr},
        {DNNL_ARG_DIFF_WEIGHTS, built.weights, partial, nullptr}},
       {src, diff_dst}, {partial});
  return {partial, built.weights};
}

template <class Gradient>
Lowering::Partial Lowering::weights_by(const Node& node, TensorId diff_dst) {
  constexpr bool in_floats = std::is_same_v<typename Gradient::DiffDst, float>;
  const Stored src = bytes_or(node.src, in_floats ? Storage::float32 : Storage::bfloat16, node.name);
  auto gradient = std::make_unique<Gradient>(geometry_of(node), src_values(src.storage));
  const TensorId scratch = program().tensor(node.name + " scratch", gradient->scratch_bytes());
  const Desc desc = onednn::channels_last(node.weights->shape);
  const TensorId partial = program().tensor(node.name + " weight gradient", desc.get_size(), true);
  program().step(weight_gradient_step(node.name, std::move(gradient), static_cast<std::size_t>(images_),
                                      src.tensor, diff_dst, scratch, partial));
  return {partial, desc};
}

void Lowering::backward_data(const Node& node, TensorId diff_dst) {
  if (by_winograd(node) || by_winograd_pairs(node)) return data_by_winograd(node, diff_dst);
  const Built built = node.linear ? onednn::linear_backward_data(node.forward, gradient_)
                                  : onednn::convolution_backward_data(node.forward, node.window, gradient_);
  const void* w = shared_.parameters.copy(*node.weights, Parameters::Content::used, built.weights);
  const TensorId diff_src = new_diff(node.src, node.name, gradient_);
  call(node.name, node.linear ? StepKind::linear : StepKind::convolution_backward_data, built,
       {{DNNL_ARG_DIFF_DST, built.dst, diff_dst, nullptr},
        {DNNL_ARG_WEIGHTS, built.weights, -1, w},
        {DNNL_ARG_DIFF_SRC, built.src, diff_src, nullptr}},
       {diff_dst}, {diff_src});
}

void Lowering::data_by_winograd(const Node& node, TensorId diff_dst) {
  const auto* w = static_cast<const float*>(shared_.parameters.copy(
      *node.weights, Parameters::Content::used, onednn::channels_last(node.weights->shape)));
  if (by_winograd(node))
    return emit_winograd(node, StepKind::convolution_backward_data, diff_dst, w,
                         new_diff(node.src, node.name));
  auto data = std::make_unique<kernels::WinogradPairData>(geometry_of(node));
  const TensorId scratch = program().tensor(node.name + " tiles", data->scratch_bytes());
  program().step(winograd_pair_step(node.name, std::move(data), static_cast<std::size_t>(images_), diff_dst,
                                    w, scratch, {new_diff(node.src, node.name, gradient_), gradient_}));
}

void Lowering::prepare_gradient(Shared::WeightGradient& gradient, const Desc& desc, const ParameterSlot& slot,
                                const ActivationUnit* unit) {
  gradient.desc = desc;
  gradient.src = unit;
  gradient.sum = shared_.parameters.used_gradient(slot);
  if (const Desc plain = onednn::plain(slot.shape); desc != plain) {
    gradient.own_sum = AlignedBuffer<float>(desc.get_size() / sizeof(float));
    gradient.to_plain =
        std::make_unique<onednn::Reorder>(desc, gradient.own_sum.data(), plain, gradient.sum.data());
    gradient.sum = gradient.own_sum.span();
  }
  for (std::size_t first = 0; first < gradient.sum.size(); first += kRange)
    gradient.ranges.push_back({first, std::min(kRange, gradient.sum.size() - first),
                               std::vector<const float*>(narrow<std::size_t>(shared_.shards))});
}

TensorId Lowering::in_partial_layout(TensorId partial, const Desc& from, const Desc& to,
                                     const std::string& name) {
  if (from == to) return partial;
  const TensorId moved = program().tensor(name + " weight gradient", to.get_size(), true);
  call(name, StepKind::layout, onednn::reorder(from, to),
       {{DNNL_ARG_FROM, from, partial, nullptr}, {DNNL_ARG_TO, to, moved, nullptr}}, {partial}, {moved});
  return moved;
}

void Lowering::backward_pool(Node& node) {
  if (!value(node.src).needs_gradient) return;
  const TensorId diff_dst = gradient_of(node.dst, node.name);
  const Built built = onednn::pool_backward(node.forward, node.window, node.maximum);
  const TensorId diff_src = new_diff(node.src, node.name);
  std::vector<onednn::Call::Argument> arguments{{DNNL_ARG_DIFF_DST, built.dst, diff_dst, nullptr},
                                                {DNNL_ARG_DIFF_SRC, built.src, diff_src, nullptr}};
  std::vector<TensorId> reads{diff_dst};
  if (node.maximum) {
    arguments.push_back({DNNL_ARG_WORKSPACE, built.workspace, node.workspace, nullptr});
    reads.push_back(node.workspace);
  }
  call(node.name, StepKind::pooling, built, arguments, reads, {diff_src});
}

void Lowering::backward_response_norm(Node& node) {
  if (!value(node.src).needs_gradient) return;
  const TensorId diff_dst = gradient_of(node.dst, node.name);
  const Layout layout = value(node.src).layout;
  const TensorId scratch =
      program().tensor(node.name + " scratch", response_norm_bytes(node.response_norm, layout));
  const TensorId diff_src = new_diff(node.src, node.name);
  program().step(response_norm_backward(node.name, floats(node.src, node.name), diff_dst, diff_src, scratch,
                                        node.response_norm, layout));
}

void Lowering::backward_shortcut(Node& node) {
  if (!value(node.src).needs_gradient) return;
  const TensorId diff_dst = gradient_of(node.dst, node.name, gradient_);
  const TensorId diff_src = new_diff(node.src, node.name, gradient_);
  program().step(shortcut_backward(node.name, diff_dst, value(node.dst).layout, diff_src,
                                   value(node.src).layout, node.width, node.window.stride,
                                   size_of(gradient_)));
}

void Lowering::backward_relayout(Node& node) {
  if (!value(node.src).needs_gradient) return;
  Value &src = value(node.src), &dst = value(node.dst);
  if (src.in(Storage::float32) == dst.in(Storage::float32)) {
    src.diffs.insert(src.diffs.end(), dst.diffs.begin(), dst.diffs.end());
    return;
  }
  const TensorId diff_dst = gradient_of(node.dst, node.name);
  const TensorId diff_src = new_diff(node.src, node.name);
  call(node.name, StepKind::layout, onednn::reorder(dst.desc, src.desc),
       {{DNNL_ARG_FROM, dst.desc, diff_dst, nullptr}, {DNNL_ARG_TO, src.desc, diff_src, nullptr}}, {diff_dst},
       {diff_src});
}

}  // namespace qtrain::engine
