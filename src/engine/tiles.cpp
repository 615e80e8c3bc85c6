#include "engine/tiles.hpp"

#include "base/error.hpp"
#include "engine/convert.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::engine {

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

std::byte* place(const RunContext& context, const Stored& x, const Tile& tile) {
  return context.raw(x.tensor) + tile.offset * size_of(x.storage);
}

namespace {

constexpr std::size_t kPassLanes = 16;
constexpr std::size_t kCacheLine = 64;

// Tensors outlast a barrier and come from far away; a tile's work takes about as long as its successor's way.
template <int kToWrite>
void fetch_next(const Stored& x, const RunContext& context, const Tile& tile, std::size_t lanes) {
  const std::size_t bytes = tile.pixels * lanes * size_of(x.storage);
  const std::byte* next = place(context, x, tile) + bytes;
  for (std::size_t i = 0; i < bytes; i += kCacheLine) __builtin_prefetch(next + i, kToWrite);
}

}  // namespace

void fetch_next_to_write(const Stored& x, const RunContext& context, const Tile& tile, std::size_t lanes) {
  fetch_next<1>(x, context, tile, lanes);
}

const float* values_of(const Stored& x, const RunContext& context, const Tile& tile, std::size_t lanes,
                       float* scratch) {
  fetch_next<0>(x, context, tile, lanes);
  if (x.storage != Storage::float32) load(x.storage, place(context, x, tile), scratch, tile.pixels * lanes);
  return loaded(x, context, tile, scratch);
}

const float* loaded(const Stored& x, const RunContext& context, const Tile& tile, const float* scratch) {
  return x.storage == Storage::float32 ? context.at(x.tensor) + tile.offset : scratch;
}

namespace {

/// The same of an operand; a product's rows lie in `scratch` already.
const float* values_of(const Operand& operand, const RunContext& context, const Tile& tile, std::size_t lanes,
                       float* scratch) {
  return operand.product ? scratch : values_of(operand.z, context, tile, lanes, scratch);
}

}  // namespace

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

bool has_passes(const std::vector<Stored>& tensors, const Layout& layout) {
  return kernels::active().has_passes && layout.lanes % kPassLanes == 0 &&
         std::ranges::none_of(tensors, [](const Stored& x) { return x.storage == Storage::signed_byte; });
}

bool has_passes(const std::vector<Operand>& operands, const Layout& layout) {
  std::vector<Stored> tensors;
  for (const Operand& o : operands)
    if (!o.product) tensors.push_back(o.z);
  return has_passes(tensors, layout);
}

kernels::PassValues pass_values(Storage storage) {
  QTRAIN_CHECK(storage != Storage::signed_byte, "passes take no signed bytes");
  switch (storage) {
    case Storage::signed_short:
      return kernels::PassValues::shorts;
    case Storage::unsigned_byte:
      return kernels::PassValues::unsigned_bytes;
    case Storage::bfloat16:
      return kernels::PassValues::bfloat16;
    default:
      return kernels::PassValues::floats;
  }
}

kernels::PassSource pass_source(const Stored& x, const RunContext& context, const Tile& tile,
                                std::size_t lanes) {
  fetch_next<0>(x, context, tile, lanes);
  return {place(context, x, tile), pass_values(x.storage)};
}

kernels::PassOperand pass_operand(const Operand& operand, const RunContext& context, const Tile& tile,
                                  std::size_t lanes, const float* scratch) {
  const float *a = operand.affine->a() + tile.channel, *b = operand.affine->b() + tile.channel;
  if (!operand.product) return {pass_source(operand.z, context, tile, lanes), a, b};
  const bool shorts = operand.product->convolution->fits_shorts();
  return {{scratch, shorts ? kernels::PassValues::shorts : kernels::PassValues::floats}, a, b};
}

std::size_t tiles_bytes(const Layout& layout) {
  return 4 * tile_pixels(layout) * layout.lanes * sizeof(float);
}

}  // namespace qtrain::engine
