#pragma once
#include <memory>

#include "engine/program.hpp"
#include "kernels/weight_gradient.hpp"

namespace qtrain::engine {

/// The gradient of a convolution's weights from src, stored as `gradient` has it, and bfloat16 diff_dst of
/// `images` images. `scratch` has gradient->scratch_bytes().
std::unique_ptr<Step> weight_gradient_step(const std::string& name,
                                           std::unique_ptr<kernels::WeightGradient> gradient,
                                           std::size_t images, TensorId src, TensorId diff_dst,
                                           TensorId scratch, TensorId diff_weights);

}  // namespace qtrain::engine
