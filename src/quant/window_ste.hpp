#pragma once
#include "kernels/kernels.hpp"
#include "quant/activation.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant {

/// An STE whose derivative is that of a window: `slope` where low < x <= high, else 0.
class WindowSte : public Ste {
 public:
  void multiply(std::span<const float> x, const ActivationRange& range, std::span<float> g) const override {
    const ActivationRange own = window_of(range);
    kernels::active().window(x.data(), own.low, own.high, g.data(), g.size());
    multiply_by_slope(own.slope, g);
  }
  std::optional<ActivationRange> window(const ActivationRange& range) const override {
    return window_of(range);
  }

 protected:
  virtual ActivationRange window_of(const ActivationRange& range) const = 0;
};

}  // namespace qtrain::quant
