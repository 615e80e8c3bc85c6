#include <algorithm>
#include <cstdlib>

#include "base/cast.hpp"
#include "engine/lowering.hpp"

// Activation codes as bytes: where they are stored so, who convolves them as integers, and how the others get
// floats.
namespace qtrain::engine {

namespace {

constexpr std::int64_t kExactInFloat = std::int64_t{1} << 24;  ///< integers up to here are floats

}  // namespace

Element Lowering::element_of(const ActivationUnit& unit) {
  return unit.quantizer->lowest_code() < 0 ? Element::signed_byte : Element::unsigned_byte;
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

bool Lowering::stores_codes(int id) const {
  const auto& layers = shared_.graph.layers;
  for (std::size_t k = 0; k < layers.size(); ++k)
    if (std::ranges::count(layers[k].inputs, id) > 0 && fits_integers(narrow<int>(k), &shared_.units.at(id)))
      return true;
  return false;
}

bool Lowering::lower_integer_product(int id, const Node& node, TensorId dst) {
  const Value& src = value(node.src);
  if (node.linear || src.codes < 0 || !fits_integers(id, src.unit)) return false;
  const onednn::Desc codes =
      onednn::bytes_of(node.forward.src, element_of(*src.unit) == Element::signed_byte);
  const onednn::Built built =
      onednn::integer_convolution_forward(codes, node.weights->shape, node.forward.dst, node.window);
  if (!onednn::sums_exactly(built)) return false;
  const void* w = shared_.parameters.copy(*node.weights, Parameters::Content::codes, built.weights);
  call(node.name, StepKind::convolution_forward, built,
       {{DNNL_ARG_SRC, built.src, src.codes, nullptr},
        {DNNL_ARG_WEIGHTS, built.weights, -1, w},
        {DNNL_ARG_DST, built.dst, dst, nullptr}},
       {src.codes}, {dst});
  shared_.integer_layers.insert(id);
  return true;
}

TensorId Lowering::floats(int v, const std::string& name) {
  const Value& source = value(v);
  if (source.tensor >= 0) return source.tensor;
  const TensorId wide = program().tensor(name + " widened", source.desc.get_size());
  program().step(widen_step(name, source.codes, element_of(*source.unit), wide, source.layout.size()));
  return wide;
}

Operand Lowering::operand_of(const Result::Term& term) {
  const Value& z = value(term.value);
  if (z.tensor >= 0) return {z.tensor, term.affine, Element::float32};
  return {z.codes, term.affine, element_of(*z.unit)};
}

}  // namespace qtrain::engine
