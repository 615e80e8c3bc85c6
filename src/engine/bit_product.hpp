#pragma once
#include <memory>
#include <string>

#include "engine/program.hpp"
#include "kernels/bit_convolution.hpp"

namespace qtrain::engine {

/// A tensor and how its values are stored.
struct Stored {
  TensorId tensor = -1;
  Storage storage = Storage::float32;
};

/// A product of codes by bit planes. `planes` is scratch of convolution->image_bytes(); a matrix product is
/// one image.
struct BitProduct {
  const kernels::BitConvolution* convolution = nullptr;
  Stored src;
  TensorId planes = -1;
  std::size_t images = 0;
};

/// Packs the product's n-th image.
void pack(const RunContext& context, const BitProduct& product, std::size_t n);

/// dst = the product: floats or 16-bit integers.
std::unique_ptr<Step> bit_product_step(const std::string& name, StepKind kind, const BitProduct& product,
                                       const Stored& dst);

}  // namespace qtrain::engine
