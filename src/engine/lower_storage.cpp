#include <algorithm>
#include <cstdlib>

#include "base/cast.hpp"
#include "engine/lowering.hpp"

// How values are stored: each reader names the storage it wants, and stored() sees to it. Convolutions of
// codes take bytes where integer sums give the same bits.
namespace qtrain::engine {

namespace {

constexpr std::int64_t kExactInFloat = std::int64_t{1} << 24;  ///< integers up to here are floats

}  // namespace

TensorId Lowering::stored(int v, Storage storage, const std::string& name) {
  Value& x = value(v);
  if (x.in(storage) >= 0) return x.in(storage);
  if (in_backward_) return converted(exact(v, name), storage, x.layout.size(), name);
  if (x.producer != nullptr) {
    x.put({program().values(name, x.layout.size(), storage), storage});
    x.producer->also_write({x.in(storage), storage});
  } else {
    x.put({converted(exact(v, name), storage, x.layout.size(), name), storage});
  }
  return x.in(storage);
}

Stored Lowering::exact(int v, const std::string& name) {
  for (const Storage storage : {Storage::float32, Storage::unsigned_byte, Storage::signed_byte})
    if (value(v).in(storage) >= 0) return {value(v).in(storage), storage};
  QTRAIN_CHECK(!in_backward_, "layer {} reads, going back, what it did not read before", name);
  return {floats(v, name)};
}

TensorId Lowering::converted(const Stored& src, Storage storage, std::size_t size, const std::string& name) {
  if (src.storage == storage) return src.tensor;
  const TensorId dst = program().values(name + " converted", size, storage);
  program().step(convert_step(name, src, {dst, storage}, size));
  return dst;
}

bool Lowering::fits_integers(int id, const ActivationUnit* unit) const {
  const model::Layer& layer = shared_.graph.layers[static_cast<std::size_t>(id)];
  if (!low_bit_ || layer.op != model::Op::convolution) return false;
  if (unit == nullptr || !unit->quantizer) return false;
  const ParameterSlot* weights = shared_.parameters.find(id, ParameterSlot::Kind::weight);
  if (weights->method == nullptr) return false;
  const auto range = weights->method->code_range();
  if (!range || range->lowest < -128 || range->highest > 127) return false;
  const int lowest = unit->quantizer->lowest_code(), highest = unit->quantizer->highest_code();
  if (lowest < -128 || highest > (lowest < 0 ? 127 : 255)) return false;
  const std::int64_t terms = weights->shape[1] * weights->shape[2] * weights->shape[3];
  const std::int64_t product = std::int64_t{std::max(std::abs(lowest), std::abs(highest))} *
                               std::max(std::abs(range->lowest), std::abs(range->highest));
  return terms * product <= kExactInFloat;
}

bool Lowering::lower_integer_product(int id, const Node& node, TensorId dst) {
  const Value& src = value(node.src);
  if (node.linear || !fits_integers(id, src.unit)) return false;
  const Storage bytes =
      src.unit->quantizer->lowest_code() < 0 ? Storage::signed_byte : Storage::unsigned_byte;
  if (src.producer == nullptr && src.in(bytes) < 0) return false;
  const onednn::Desc codes = onednn::in_storage(src.desc, bytes);
  const onednn::Built built =
      onednn::integer_convolution_forward(codes, node.weights->shape, node.forward.dst, node.window);
  if (!onednn::sums_exactly(built)) return false;
  const void* w = shared_.parameters.copy(*node.weights, Parameters::Content::codes, built.weights);
  const TensorId x = stored(node.src, bytes, node.name);
  call(node.name, StepKind::convolution_forward, built,
       {{DNNL_ARG_SRC, built.src, x, nullptr},
        {DNNL_ARG_WEIGHTS, built.weights, -1, w},
        {DNNL_ARG_DST, built.dst, dst, nullptr}},
       {x}, {dst});
  shared_.integer_layers.insert(id);
  return true;
}

}  // namespace qtrain::engine
