#include "engine/lowering.hpp"

// How values are stored: each reader names the storage it wants, and stored() sees to it.
namespace qtrain::engine {

TensorId Lowering::stored(int v, Storage storage, const std::string& name) {
  Value& x = value(v);
  if (x.in(storage) >= 0) return x.in(storage);
  if (x.product) {
    compute_product(v, name);
    if (x.in(storage) >= 0) return x.in(storage);
  }
  if (in_backward_) return converted(exact(v, name), storage, x.layout.size(), name);
  if (x.producer != nullptr) {
    x.put({program().values(name, x.layout.size(), storage), storage});
    x.producer->also_write({x.in(storage), storage});
  } else {
    x.put({converted(exact(v, name), storage, x.layout.size(), name), storage});
  }
  return x.in(storage);
}

void Lowering::compute_product(int v, const std::string& name) {
  Value& x = value(v);
  const Storage storage = x.product->convolution->fits_shorts() ? Storage::signed_short : Storage::float32;
  x.put({program().values(name, x.layout.size(), storage), storage});
  const StepKind kind = x.product->convolution->geometry().kernel == 1 && x.layout.pixels == 1
                            ? StepKind::linear
                            : StepKind::convolution_forward;
  program().step(bit_product_step(name, kind, *x.product, {x.in(storage), storage}));
  x.product.reset();
}

Stored Lowering::exact(int v, const std::string& name) {
  if (value(v).product) compute_product(v, name);
  for (const Storage storage :
       {Storage::float32, Storage::unsigned_byte, Storage::signed_byte, Storage::signed_short})
    if (value(v).in(storage) >= 0) return {value(v).in(storage), storage};
  QTRAIN_CHECK(!in_backward_, "layer {} reads, going back, what it did not read before", name);
  return {floats(v, name)};
}

Stored Lowering::bytes_or(int v, Storage storage, const std::string& name) {
  for (const Storage bytes : {Storage::unsigned_byte, Storage::signed_byte})
    if (value(v).in(bytes) >= 0) return {value(v).in(bytes), bytes};
  return {stored(v, storage, name), storage};
}

TensorId Lowering::converted(const Stored& src, Storage storage, std::size_t size, const std::string& name) {
  if (src.storage == storage) return src.tensor;
  const TensorId dst = program().values(name + " converted", size, storage);
  program().step(convert_step(name, src, {dst, storage}, size));
  return dst;
}

}  // namespace qtrain::engine
