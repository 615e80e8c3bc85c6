#pragma once
#include <memory>

#include "engine/bit_product.hpp"
#include "engine/program.hpp"
#include "kernels/winograd.hpp"
#include "kernels/winograd_pairs.hpp"

namespace qtrain::engine {

/// dst of `convolution`, forward or backward, of `images` images; `weights` as it wants them, all else floats
/// nhwc. `scratch` has convolution->scratch_bytes().
std::unique_ptr<Step> winograd_step(const std::string& name, StepKind kind,
                                    std::unique_ptr<kernels::WinogradConvolution> convolution,
                                    std::size_t images, TensorId src, const float* weights, TensorId scratch,
                                    TensorId dst);

/// diff_src of a convolution by Winograd's tiles of bfloat16, in which diff_dst is; diff_src in floats or
/// bfloat16.
std::unique_ptr<Step> winograd_pair_step(const std::string& name,
                                         std::unique_ptr<kernels::WinogradPairData> data, std::size_t images,
                                         TensorId diff_dst, const float* weights, TensorId scratch,
                                         const Stored& diff_src);

}  // namespace qtrain::engine
