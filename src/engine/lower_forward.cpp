#include <algorithm>

#include "base/cast.hpp"
#include "engine/lowering.hpp"

namespace qtrain::engine {

using dnnl::memory;
using model::Op;
using onednn::Built;
using onednn::Desc;

std::unique_ptr<Compiled> Lowering::run() {
  const auto& layers = shared_.graph.layers;
  uses_.assign(layers.size(), 0);
  for (const auto& layer : layers)
    for (const int input : layer.inputs) ++uses_[static_cast<std::size_t>(input)];
  results_.resize(layers.size());
  for (std::size_t k = 0; k < layers.size(); ++k) {
    lower(static_cast<int>(k), layers[k]);
    if (uses_[k] > 1) value_of(static_cast<int>(k));
  }
  finish_with_loss();
  if (training_) {
    in_backward_ = true;
    for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) backward(*node);
    flush_backward_sums();
  }
  program().finish(shared_.shards, shared_.machine);
  return std::move(out_);
}

memory::dims Lowering::dims_of(int layer) const {
  memory::dims dims{images_};
  for (const auto d : shared_.shapes[static_cast<std::size_t>(layer)]) dims.push_back(d);
  return dims;
}

int Lowering::add_value(Value v) {
  values_.push_back(std::move(v));
  return narrow<int>(values_.size() - 1);
}

Value Lowering::make_value(const std::string& name, const Desc& desc) {
  Value v;
  v.desc = desc;
  QTRAIN_CHECK(onednn::describe(desc, v.layout), "layer {}: a layout that no kernel here knows", name);
  return v;
}

Value Lowering::make_floats(const std::string& name, const Desc& desc) {
  Value v = make_value(name, desc);
  v.put({program().tensor(name, desc.get_size())});
  return v;
}

Value Lowering::relaid(int v, const Desc& desc, const std::string& name) {
  Value dst = value(v);
  const Value fresh = make_value(name, desc);
  dst.desc = fresh.desc;
  dst.layout = fresh.layout;
  dst.tensors = fresh.tensors;
  dst.producer = nullptr;
  dst.product.reset();
  dst.diffs.clear();
  return dst;
}

void Lowering::lower(int id, const model::Layer& layer) {
  switch (layer.op) {
    case Op::input:
      return lower_input(id);
    case Op::convolution:
    case Op::linear:
      return lower_product(id, layer);
    case Op::batch_norm:
      return lower_batch_norm(id, layer);
    case Op::activation: {
      result(id).value = elementwise(layer.name, terms_of(layer.inputs[0]), &shared_.units.at(id));
      return;
    }
    case Op::max_pool:
    case Op::average_pool:
    case Op::global_average_pool:
      return lower_pool(id, layer);
    case Op::local_response_norm:
      return lower_response_norm(id, layer);
    case Op::add:
      return lower_add(id, layer);
    case Op::shortcut_pad:
      return lower_shortcut(id, layer);
    case Op::flatten:
      return lower_flatten(id, layer);
    case Op::embedding:
      return lower_embedding(id, layer);
    case Op::lstm:
      return lower_lstm(id, layer);
    case Op::dropout:
      return lower_dropout(id, layer);
  }
}

void Lowering::lower_input(int id) {
  Value v = make_value("input", onednn::plain(dims_of(id)));
  v.put({program().input(element_count(shared_.shapes[static_cast<std::size_t>(id)]))});
  result(id).value = add_value(std::move(v));
}

void Lowering::lower_product(int id, const model::Layer& layer) {
  int src = value_of(layer.inputs[0]);
  Node node{.kind = Node::Kind::product, .name = layer.name};
  node.linear = layer.op == Op::linear;
  node.window = onednn::window_of(layer);
  node.weights = shared_.parameters.find(id, ParameterSlot::Kind::weight);
  const memory::dims weights(node.weights->shape.begin(), node.weights->shape.end());
  Desc desc = value(src).desc;
  if (!node.linear) {
    // Of one channel the plain layout is this one too, but given as such oneDNN 2.6.3 takes its reference
    // kernel: 114 ms against 0.1 for 1 -> 32 channels, 5x5, 28x28, 8 images.
    desc = onednn::channels_last(desc.dims());
    src = in_layout(src, desc, layer.name);
  }
  const Desc operand = onednn::in_storage(desc, operand_);
  node.forward = node.linear ? onednn::linear_forward(operand, weights, onednn::plain(dims_of(id)))
                             : onednn::convolution_forward(operand, weights,
                                                           onednn::channels_last(dims_of(id)), node.window);
  node.src = src;
  shared_.implementations[id] = forward_by_winograd(node) ? "winograd" : node.forward.implementation;
  Value dst = make_value(layer.name, node.forward.dst);
  dst.weights = node.weights;
  dst.layer = id;
  dst.src_unit = value(src).unit;
  dst.needs_gradient = true;
  const Path path = path_of(id, node);
  if (path == Path::bitwise)
    dst.product = lower_bits(id, node);
  else
    dst.put({program().values(layer.name, dst.layout.size(), Storage::float32)});
  if (path == Path::int8) lower_integers(node, dst.in(Storage::float32));
  if (path == Path::floats) lower_floats(node, dst.in(Storage::float32));
  node.dst = add_value(std::move(dst));
  result(id).terms = {{node.dst, nullptr, false}};
  nodes_.push_back(std::move(node));
}

void Lowering::lower_batch_norm(int id, const model::Layer& layer) {
  const Result& input = result(layer.inputs[0]);
  const bool raw = input.value < 0 && input.terms.size() == 1 && input.terms[0].affine == nullptr;
  const int v = raw ? input.terms[0].value : value_of(layer.inputs[0]);
  Affine* affine = next_affine([&] { return batch_norm_source(id, layer, v); });
  if (training_) {
    const Operand z{exact(v, layer.name), affine};
    const TensorId tiles = program().tensor(layer.name + " tiles", tiles_bytes(value(v).layout));
    program().step(moments_step(layer.name, z, tiles, value(v).layout));
  }
  value(v).needs_gradient |= layer.affine;
  result(id).terms = {{v, affine, !training_}};
}

Affine::Source Lowering::plain_source(int v) {
  const Value& z = value(v);
  Affine::Source source{.channels = z.layout.channels};
  source.activation = z.weights != nullptr ? z.src_unit : z.unit;
  if (z.weights == nullptr) return source;
  source.weight_scales = shared_.parameters.scales(*z.weights);
  if (const ParameterSlot* bias = shared_.parameters.find(z.layer, ParameterSlot::Kind::bias)) {
    source.bias = shared_.parameters.used(*bias).data();
    source.bias_gradient = shared_.parameters.used_gradient(*bias).data();
  }
  return source;
}

Affine::Source Lowering::batch_norm_source(int id, const model::Layer& layer, int v) {
  Affine::Source source = plain_source(v);
  source.batch_norm = true;
  source.momentum = shared_.keep_statistics ? 0 : shared_.graph.batch_norm_momentum;
  source.epsilon = shared_.graph.batch_norm_epsilon;
  auto& statistics = shared_.parameters.statistics(id);
  source.running_mean = statistics.mean.data();
  source.running_variance = statistics.variance.data();
  if (layer.affine) {
    const ParameterSlot* gamma = shared_.parameters.find(id, ParameterSlot::Kind::gamma);
    const ParameterSlot* beta = shared_.parameters.find(id, ParameterSlot::Kind::beta);
    source.gamma = shared_.parameters.value(*gamma);
    source.beta = shared_.parameters.value(*beta);
    source.gamma_gradient = shared_.parameters.gradient(*gamma);
    source.beta_gradient = shared_.parameters.gradient(*beta);
  }
  return source;
}

std::vector<Result::Term> Lowering::terms_of(int layer) {
  Result& r = result(layer);
  if (r.value >= 0) return {{r.value, next_affine([&] { return plain_source(r.value); }), true}};
  for (auto& term : r.terms)
    if (term.affine == nullptr)
      term = {term.value, next_affine([&] { return plain_source(term.value); }), true};
  return r.terms;
}

int Lowering::value_of(int layer) {
  Result& r = result(layer);
  if (r.value < 0) {
    const std::string& name = shared_.graph.layers[static_cast<std::size_t>(layer)].name;
    const int v = elementwise(name, terms_of(layer), nullptr);
    result(layer) = {v, {}};
  }
  return result(layer).value;
}

int Lowering::elementwise(const std::string& name, std::vector<Result::Term> terms, ActivationUnit* unit) {
  std::vector<std::pair<Affine*, std::size_t>> to_combine;
  for (auto& term : terms) {
    if (term.affine->batch_norm() && !term.combined)
      to_combine.emplace_back(term.affine, value(term.value).layout.pixels);
    term.combined = true;
    term.value = in_layout(term.value, value(terms[0].value).desc, name);
  }
  if (training_ && !to_combine.empty())
    program().barrier([to_combine](int shards, std::size_t images) {
      for (const auto& [affine, pixels] : to_combine) affine->combine_forward(shards, images * pixels);
    });
  Value dst = make_value(name, value(terms[0].value).desc);
  dst.unit = unit != nullptr && unit->quantizer ? unit : nullptr;
  for (const auto& term : terms) dst.needs_gradient |= value(term.value).needs_gradient;
  emit_elementwise(name, terms, unit, dst);
  Node node{.kind = Node::Kind::elementwise, .name = name};
  node.dst = add_value(std::move(dst));
  node.terms = std::move(terms);
  node.unit = unit;
  nodes_.push_back(std::move(node));
  return nodes_.back().dst;
}

void Lowering::emit_elementwise(const std::string& name, const std::vector<Result::Term>& terms,
                                ActivationUnit* unit, Value& dst) {
  const std::vector<Operand> operands = operands_of(terms, name);
  std::unique_ptr<ElementwiseForward> step;
  if (!training_ && has_thresholds(operands, unit)) {
    const Storage storage = bytes_for(unit->quantizer->lowest_code());
    const Stored codes{program().values(name, dst.layout.size(), storage), storage};
    dst.put(codes);
    step = threshold_forward(name, operands, *unit, codes, dst.layout);
  } else {
    const bool by_rows =
        std::ranges::any_of(operands, [](const Operand& o) { return o.product.has_value(); });
    const TensorId tiles =
        program().tensor(name + " tiles", by_rows ? row_tiles_bytes(operands) : tiles_bytes(dst.layout));
    step = elementwise_forward(name, operands, unit, tiles, dst.layout);
  }
  if (!training_) out_->to_prepare.push_back(step.get());
  dst.producer = step.get();
  program().step(std::move(step));
}

std::vector<Operand> Lowering::operands_of(const std::vector<Result::Term>& terms, const std::string& name) {
  std::vector<Operand> operands;
  const auto unit_of = [&](int v) { return value(v).averaged ? nullptr : value(v).unit; };
  for (const auto& term : terms) {
    const auto& product = value(term.value).product;
    if (product && !training_)
      operands.push_back({{}, term.affine, product});
    else
      operands.push_back({exact(term.value, name), term.affine, {}, unit_of(term.value)});
  }
  return operands;
}

void Lowering::lower_add(int id, const model::Layer& layer) {
  std::vector<Result::Term> terms;
  for (const int input : layer.inputs) {
    if (result(input).terms.size() > 1) value_of(input);
    for (const auto& term : terms_of(input)) terms.push_back(term);
  }
  QTRAIN_CHECK(terms.size() == 2, "layer {} adds {} terms, not 2", layer.name, terms.size());
  result(id).terms = std::move(terms);
}

void Lowering::lower_pool(int id, const model::Layer& layer) {
  const int src = value_of(layer.inputs[0]);
  Node node{.kind = Node::Kind::pool, .name = layer.name, .src = src};
  node.window = onednn::window_of(layer);
  if (layer.op == Op::global_average_pool) {
    const auto dims = value(src).desc.dims();
    QTRAIN_CHECK(dims[2] == dims[3], "layer {} pools a {}x{} image, which is not square", layer.name, dims[2],
                 dims[3]);
    node.window = {narrow<int>(dims[2]), 1, 0};
  }
  node.maximum = layer.op == Op::max_pool;
  node.forward = onednn::pool_forward(value(src).desc, dims_of(id), node.window, node.maximum, training_);
  Value dst = make_floats(layer.name, node.forward.dst);
  dst.unit = value(src).unit;
  dst.averaged = value(src).averaged || !node.maximum;
  dst.needs_gradient = value(src).needs_gradient;
  const TensorId x = floats(src, layer.name), y = dst.in(Storage::float32);
  std::vector<onednn::Call::Argument> arguments{{DNNL_ARG_SRC, value(src).desc, x, nullptr},
                                                {DNNL_ARG_DST, dst.desc, y, nullptr}};
  std::vector<TensorId> reads{x};
  if (training_ && node.maximum) {
    node.workspace = program().tensor(layer.name + " workspace", node.forward.workspace.get_size());
    arguments.push_back({DNNL_ARG_WORKSPACE, node.forward.workspace, node.workspace, nullptr});
    reads.push_back(node.workspace);  // not a float tensor: listed for its life only
  }
  call(layer.name, StepKind::pooling, node.forward, arguments, reads, {y});
  node.dst = add_value(std::move(dst));
  result(id).value = node.dst;
  nodes_.push_back(std::move(node));
}

void Lowering::lower_response_norm(int id, const model::Layer& layer) {
  int src = value_of(layer.inputs[0]);
  // Squares of codes are no squares of what they stand for.
  if (value(src).unit != nullptr) src = elementwise(layer.name, terms_of(layer.inputs[0]), nullptr);
  src = in_layout(src, onednn::channels_last(value(src).desc.dims()), layer.name);
  Value dst = make_floats(layer.name, value(src).desc);
  dst.needs_gradient = value(src).needs_gradient;
  const TensorId scratch =
      program().tensor(layer.name + " scratch", response_norm_bytes(layer.response_norm, dst.layout));
  program().step(response_norm_forward(layer.name, floats(src, layer.name), dst.in(Storage::float32), scratch,
                                       layer.response_norm, dst.layout));
  Node node{.kind = Node::Kind::response_norm, .name = layer.name, .src = src};
  node.response_norm = layer.response_norm;
  node.dst = add_value(std::move(dst));
  result(id).value = node.dst;
  nodes_.push_back(std::move(node));
}

void Lowering::lower_shortcut(int id, const model::Layer& layer) {
  const int given = value_of(layer.inputs[0]);
  const int src = in_layout(given, onednn::channels_last(value(given).desc.dims()), layer.name);
  Node node{.kind = Node::Kind::shortcut, .name = layer.name, .src = src};
  node.window.stride = layer.stride;
  node.width = narrow<int>(value(src).desc.dims()[3]);
  const Stored x = exact(src, layer.name);
  Value dst = make_value(layer.name, onednn::channels_last(dims_of(id)));
  dst.put({program().values(layer.name, dst.layout.size(), x.storage), x.storage});
  dst.unit = value(src).unit;
  dst.averaged = value(src).averaged;
  dst.needs_gradient = value(src).needs_gradient;
  program().step(shortcut_forward(layer.name, x.tensor, value(src).layout, dst.in(x.storage), dst.layout,
                                  node.width, layer.stride, size_of(x.storage)));
  node.dst = add_value(std::move(dst));
  result(id).value = node.dst;
  nodes_.push_back(std::move(node));
}

void Lowering::lower_flatten(int id, const model::Layer& layer) {
  const int src = value_of(layer.inputs[0]);
  const int plain = in_layout(src, onednn::plain(value(src).desc.dims()), layer.name);
  // The same bytes under another shape: gradients of the flat value are gradients of the plain one.
  Value flat = relaid(plain, onednn::plain(dims_of(id)), layer.name);
  flat.put({floats(plain, layer.name)});
  Node node{.kind = Node::Kind::relayout, .name = layer.name, .src = plain};
  node.dst = add_value(std::move(flat));
  result(id).value = node.dst;
  nodes_.push_back(std::move(node));
}

int Lowering::in_layout(int v, const Desc& desc, const std::string& name) {
  if (value(v).desc == desc) return v;
  const TensorId x = floats(v, name);
  const TensorId y = program().tensor(name + " reordered", desc.get_size());
  Value dst = relaid(v, desc, name);
  dst.put({y});
  const Built built = onednn::reorder(value(v).desc, desc);
  call(name, StepKind::layout, built,
       {{DNNL_ARG_FROM, value(v).desc, x, nullptr}, {DNNL_ARG_TO, desc, y, nullptr}}, {x}, {y});
  Node node{.kind = Node::Kind::relayout, .name = name, .src = v};
  node.forward = built;
  node.dst = add_value(std::move(dst));
  nodes_.push_back(std::move(node));
  return nodes_.back().dst;
}

void Lowering::call(const std::string& name, StepKind kind, const Built& built,
                    const std::vector<onednn::Call::Argument>& arguments, const std::vector<TensorId>& reads,
                    const std::vector<TensorId>& writes) {
  program().need_scratchpad(built.scratchpad);
  program().step(std::make_unique<CallStep>(name, kind, built, arguments, shared_.threads, reads, writes));
}

std::unique_ptr<Compiled> compile(Shared& shared, int images, Mode mode) {
  return Lowering(shared, images, mode).run();
}

}  // namespace qtrain::engine
