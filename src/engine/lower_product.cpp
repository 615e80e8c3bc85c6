#include <algorithm>
#include <bit>
#include <cstdlib>

#include "base/cast.hpp"
#include "engine/lowering.hpp"
#include "engine/measure.hpp"
#include "engine/winograd_step.hpp"

// What computes the forward product of a convolution or linear layer: floats, or, where both operands are
// codes and every sum fits a float's mantissa, bytes or bit planes, which give the same bits.
namespace qtrain::engine {

using onednn::Built;

namespace {

constexpr std::int64_t kExactInFloat = std::int64_t{1} << 24;  ///< integers up to here are floats
constexpr int kRounds = 5;                                     ///< of a measurement

std::int64_t largest(int lowest, int highest) { return std::max(std::abs(lowest), std::abs(highest)); }

bool are_bytes(int lowest, int highest) { return lowest >= -128 && highest <= (lowest < 0 ? 127 : 255); }

double seconds_of(const Built& built) {
  return median_seconds(built, DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, kRounds);
}

/// As training runs it, packing included.
double seconds_of(const kernels::BitConvolution& convolution, std::size_t images) {
  const kernels::ConvolutionGeometry& g = convolution.geometry();
  AlignedBuffer<unsigned char> codes(g.height * g.width * g.channels), planes(convolution.image_bytes());
  const std::size_t size = g.out_height() * g.out_width() * g.outputs;
  AlignedBuffer<float> floats(convolution.fits_shorts() ? 0 : size);
  AlignedBuffer<short> shorts(convolution.fits_shorts() ? size : 0);
  const auto work = [&] {
    for (std::size_t image = 0; image < images; ++image) {
      convolution.pack(codes.data(), 1, planes.data());
      if (convolution.fits_shorts())
        convolution.run(planes.data(), 1, shorts.data());
      else
        convolution.run(planes.data(), 1, floats.data());
    }
  };
  return median_seconds(work, kRounds);
}

/// With 512 channels oneDNN is faster (measured, in floats). A rule and no measurement, for the bits hang on
/// it.
bool pays_winograd(const kernels::ConvolutionGeometry& g) { return g.channels <= 256 && g.outputs <= 256; }

}  // namespace

void describe_path(const Shared& shared, int layer, LayerInfo& row) {
  const auto implementation = shared.implementations.find(layer);
  if (implementation != shared.implementations.end()) row.implementation = implementation->second;
  const auto name = [&](Path path) -> std::string {
    if (path == Path::int8) return "int8";
    if (path == Path::bitwise) return "bitwise";
    // Embeddings and LSTMs have no product of `precision`.
    const bool rounded = shared.precision == Precision::bfloat16 && !row.implementation.empty();
    return rounded ? "bfloat16" : "float32";
  };
  const auto found = shared.paths.find(layer);
  const PathChoice choice = found == shared.paths.end() ? PathChoice{} : found->second;
  row.path = name(choice.path);
  for (const auto& [path, seconds] : choice.seconds) row.measured.emplace_back(name(path), seconds);
}

std::optional<Lowering::ProductCodes> Lowering::codes_of(const Node& node) const {
  const Value& src = values_[static_cast<std::size_t>(node.src)];
  if (src.unit == nullptr || src.averaged || node.weights->method == nullptr) return {};
  const auto weights = node.weights->method->code_range();
  const quant::ActivationQuantizer& quantizer = *src.unit->quantizer;
  if (!weights || quantizer.levels() < 2) return {};
  const int lowest = quantizer.lowest_code(), highest = quantizer.highest_code();
  const std::int64_t terms =
      narrow<std::int64_t>(element_count(node.weights->shape)) / node.weights->shape[0];
  return ProductCodes{*weights, lowest, highest, (highest - lowest) / (quantizer.levels() - 1), terms};
}

std::optional<Built> Lowering::integer_product(const Node& node, const ProductCodes& codes) {
  const Value& src = value(node.src);
  const Storage bytes = bytes_for(codes.lowest);
  if (node.linear || !are_bytes(codes.lowest, codes.highest)) return {};
  if (codes.weights.lowest < -128 || codes.weights.highest > 127) return {};
  const std::int64_t product =
      largest(codes.lowest, codes.highest) * largest(codes.weights.lowest, codes.weights.highest);
  if (codes.terms * product > kExactInFloat) return {};
  if (src.producer == nullptr && src.in(bytes) < 0) return {};
  Built built = onednn::integer_convolution_forward(onednn::in_storage(src.desc, bytes), node.weights->shape,
                                                    node.forward.dst, node.window);
  if (!onednn::sums_exactly(built)) return {};
  return built;
}

kernels::ConvolutionGeometry Lowering::geometry_of(const Node& node) const {
  const auto& dims = values_[static_cast<std::size_t>(node.src)].desc.dims();
  const auto size = [](std::int64_t n) { return narrow<std::size_t>(n); };
  kernels::ConvolutionGeometry g{.channels = size(dims[1]), .outputs = size(node.weights->shape[0])};
  if (node.linear) {
    g.width = size(images_);
    return g;
  }
  g.height = size(dims[2]);
  g.width = size(dims[3]);
  g.kernel = size(node.window.kernel);
  g.stride = size(node.window.stride);
  g.padding = size(node.window.padding);
  g.end_padding = size(node.window.end_padding);
  return g;
}

std::unique_ptr<kernels::BitConvolution> Lowering::bit_product(const Node& node,
                                                               const ProductCodes& codes) const {
  const kernels::ConvolutionGeometry g = geometry_of(node);
  const auto planes = [](std::int64_t most) {
    return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(most)));
  };
  const kernels::BitWeights weights{.planes = planes(largest(codes.weights.lowest, codes.weights.highest)),
                                    .no_zeros = codes.weights.lowest % 2 != 0 && codes.weights.step == 2};
  const kernels::BitActivations activations{.planes = planes((codes.highest - codes.lowest) / codes.step),
                                            .lowest = codes.lowest,
                                            .step = codes.step};
  if (!kernels::BitConvolution::refusal(g, weights, activations).empty()) return nullptr;
  return std::make_unique<kernels::BitConvolution>(g, weights, activations);
}

bool Lowering::by_winograd(const Node& node) const {
  if (node.linear || operand_ != Storage::float32 || !kernels::multiplies_fused()) return false;
  const kernels::ConvolutionGeometry g = geometry_of(node);
  return kernels::has_winograd(g) && pays_winograd(g);
}

bool Lowering::by_winograd_pairs(const Node& node) const {
  if (node.linear || operand_ != Storage::bfloat16 || !kernels::multiplies_bfloat16()) return false;
  const kernels::ConvolutionGeometry g = geometry_of(node);
  return kernels::has_winograd_pairs(g) && pays_winograd(g);
}

void Lowering::emit_winograd(const Node& node, StepKind kind, TensorId src, const float* weights,
                             TensorId dst) {
  using Direction = kernels::WinogradConvolution::Direction;
  auto convolution = std::make_unique<kernels::WinogradConvolution>(
      geometry_of(node),
      kind == StepKind::convolution_forward ? Direction::forward : Direction::backward_data);
  const TensorId scratch = program().tensor(node.name + " tiles", convolution->scratch_bytes());
  program().step(winograd_step(node.name, kind, std::move(convolution), static_cast<std::size_t>(images_),
                               src, weights, scratch, dst));
}

// A layer keeps its path: the short last shard goes the way of the full ones.
Path Lowering::path_of(int id, const Node& node) {
  const auto codes = low_bit_ ? codes_of(node) : std::nullopt;
  if (!codes) return Path::floats;
  if (const auto known = shared_.paths.find(id); known != shared_.paths.end()) return known->second.path;
  PathChoice choice;
  const auto integer =
      shared_.low_bit != LowBit::bitwise ? integer_product(node, *codes) : std::optional<Built>();
  const auto bits = shared_.low_bit != LowBit::int8 ? bit_product(node, *codes) : nullptr;
  if (shared_.low_bit == LowBit::automatic)
    choice = measure_paths(node, *codes, integer ? &*integer : nullptr, bits.get());
  else if (integer || bits)
    choice.path = integer ? Path::int8 : Path::bitwise;
  shared_.paths[id] = choice;
  return choice.path;
}

PathChoice Lowering::measure_paths(const Node& node, const ProductCodes& codes, const Built* integer,
                                   const kernels::BitConvolution* bits) const {
  PathChoice choice;
  if (integer == nullptr && bits == nullptr) return choice;
  const std::string key =
      fmt::format("{}{} by {}, {}, {}, {}; codes {} to {} by {} to {}", node.linear ? "linear " : "",
                  fmt::join(node.forward.src.dims(), "x"), qtrain::to_string(node.weights->shape),
                  node.window.stride, node.window.padding, node.window.end_padding, codes.lowest,
                  codes.highest, codes.weights.lowest, codes.weights.highest);
  if (const auto known = shared_.measured.find(key); known != shared_.measured.end()) return known->second;
  choice.seconds.emplace_back(Path::floats, seconds_of(node.forward));
  if (integer != nullptr) choice.seconds.emplace_back(Path::int8, seconds_of(*integer));
  if (bits != nullptr)
    choice.seconds.emplace_back(Path::bitwise,
                                seconds_of(*bits, node.linear ? 1 : static_cast<std::size_t>(images_)));
  choice.path = std::ranges::min_element(choice.seconds, {}, &std::pair<Path, double>::second)->first;
  return shared_.measured[key] = choice;
}

void Lowering::lower_call(const Node& node, const Built& built, Storage storage, TensorId dst) {
  const void* w = shared_.parameters.copy(*node.weights, Parameters::Content::codes, built.weights);
  const TensorId x = stored(node.src, storage, node.name);
  call(node.name, node.linear ? StepKind::linear : StepKind::convolution_forward, built,
       {{DNNL_ARG_SRC, built.src, x, nullptr},
        {DNNL_ARG_WEIGHTS, built.weights, -1, w},
        {DNNL_ARG_DST, built.dst, dst, nullptr}},
       {x}, {dst});
}

// Sums of codes must be those of bytes and bit planes, exact; Winograd's are rounded.
bool Lowering::forward_by_winograd(const Node& node) const { return by_winograd(node) && !codes_of(node); }

void Lowering::lower_floats(const Node& node, TensorId dst) {
  if (!forward_by_winograd(node)) return lower_call(node, node.forward, operand_, dst);
  const auto* w = static_cast<const float*>(shared_.parameters.copy(
      *node.weights, Parameters::Content::codes, onednn::outputs_last(node.weights->shape)));
  emit_winograd(node, StepKind::convolution_forward, floats(node.src, node.name), w, dst);
}

void Lowering::lower_integers(const Node& node, TensorId dst) {
  const ProductCodes codes = codes_of(node).value();
  lower_call(node, integer_product(node, codes).value(), bytes_for(codes.lowest), dst);
}

BitProduct Lowering::lower_bits(int id, const Node& node) {
  const ProductCodes codes = codes_of(node).value();
  auto& convolution = shared_.bit_convolutions[{id, node.linear ? images_ : 0}];
  if (!convolution) {
    convolution = bit_product(node, codes);
    shared_.parameters.keep_packed(*node.weights, *convolution);
  }
  const Storage bytes = bytes_for(codes.lowest);
  const Value& src = value(node.src);
  const bool as_bytes =
      are_bytes(codes.lowest, codes.highest) && (src.producer != nullptr || src.in(bytes) >= 0);
  const Stored x = as_bytes ? Stored{stored(node.src, bytes, node.name), bytes} : exact(node.src, node.name);
  return {.convolution = convolution.get(),
          .src = x,
          .planes = program().tensor(node.name + " planes", convolution->image_bytes()),
          .images = node.linear ? 1 : static_cast<std::size_t>(images_)};
}

}  // namespace qtrain::engine
