#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.hpp"
#include "tensor/safetensors.hpp"

namespace qtrain::train {

/// Exponential moving average of all latents, for evaluation: TensorFlow's ExponentialMovingAverage with
/// num_updates the number of steps done, as in TernGrad's code.
///
///   a = u                                        before the first step
///   a = a + (1 - d) (u - a)                      after step t = 1, 2, ...
///   d = min(decay, (1 + t) / (10 + t))
class WeightAverage {
 public:
  /// With decay 0 nothing is kept, and every function does nothing.
  explicit WeightAverage(double decay) : decay_(decay) {}

  void start(std::span<const float> latents);
  /// `steps`, t above, counts from 1.
  void update(std::span<const float> latents, std::int64_t steps);
  /// Exchanges the averages and the latents.
  void swap(std::span<float> latents);
  void copy_to(std::span<float> latents) const;

  void save(std::vector<NamedTensor>& tensors) const;
  void restore(const SafetensorsFile& file);

 private:
  double decay_;
  AlignedBuffer<float> average_;
};

}  // namespace qtrain::train
