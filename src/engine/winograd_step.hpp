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

}  // namespace qtrain::engine
