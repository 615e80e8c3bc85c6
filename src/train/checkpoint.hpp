#pragma once
#include <span>
#include <string>

#include "tensor/safetensors.hpp"

namespace qtrain::train {

/// A float32 tensor of one dimension.
NamedTensor flat_tensor(std::string name, std::span<const float> values);

/// The tensor `name` of a checkpoint; an Error (data) if it is not there or has not `size` elements.
const NamedTensor& checkpoint_tensor(const SafetensorsFile& file, const std::string& name, std::size_t size);

/// Copies a float32 tensor of a checkpoint into `values`, whose size it must have.
void restore_floats(const SafetensorsFile& file, const std::string& name, std::span<float> values);

}  // namespace qtrain::train
