#pragma once
#include <memory>

#include "engine/program.hpp"
#include "kernels/winograd.hpp"

namespace qtrain::engine {

/// dst of `convolution`, forward or backward, of `images` images; `weights` as it wants them, all else floats
/// nhwc. `scratch` has convolution->scratch_bytes().
std::unique_ptr<Step> winograd_step(const std::string& name, StepKind kind,
                                    std::unique_ptr<kernels::WinogradConvolution> convolution,
                                    std::size_t images, TensorId src, const float* weights, TensorId scratch,
                                    TensorId dst);

/// The gradient of a convolution's weights from src, stored as `gradient` has it, and diff_dst in floats.
std::unique_ptr<Step> winograd_gradient_step(const std::string& name,
                                             std::unique_ptr<kernels::WinogradWeightGradient> gradient,
                                             std::size_t images, TensorId src, TensorId diff_dst,
                                             TensorId scratch, TensorId diff_weights);

}  // namespace qtrain::engine
