#pragma once
#include <memory>

#include "engine/program.hpp"
#include "kernels/weight_gradient.hpp"
#include "kernels/winograd_gradient.hpp"

namespace qtrain::engine {

/// The gradient of a convolution's weights from src, stored as `gradient` has it, and diff_dst, of values
/// Gradient::DiffDst, of `images` images. `scratch` has gradient->scratch_bytes(). Gradient is one of
/// kernels::WeightGradient, WinogradWeightGradient and WinogradPairWeightGradient.
template <class Gradient>
std::unique_ptr<Step> weight_gradient_step(const std::string& name, std::unique_ptr<Gradient> gradient,
                                           std::size_t images, TensorId src, TensorId diff_dst,
                                           TensorId scratch, TensorId diff_weights);

extern template std::unique_ptr<Step> weight_gradient_step(const std::string&,
                                                           std::unique_ptr<kernels::WeightGradient>,
                                                           std::size_t, TensorId, TensorId, TensorId,
                                                           TensorId);
extern template std::unique_ptr<Step> weight_gradient_step(const std::string&,
                                                           std::unique_ptr<kernels::WinogradWeightGradient>,
                                                           std::size_t, TensorId, TensorId, TensorId,
                                                           TensorId);
extern template std::unique_ptr<Step> weight_gradient_step(
    const std::string&, std::unique_ptr<kernels::WinogradPairWeightGradient>, std::size_t, TensorId, TensorId,
    TensorId, TensorId);

}  // namespace qtrain::engine
