#pragma once
#include <cstdint>
#include <vector>

#include "engine/engine.hpp"
#include "tensor/safetensors.hpp"

namespace qtrain::train {

/// How far quantized weights have moved, over all of them and for each tensor in slot order.
struct WeightChange {
  double sign_changes =
      0;  ///< fraction of weights whose used sign differs from the stage's start; sign(0) = +1
  double quantization_error =
      0;  ///< ||u - w|| / ||u||; tensors with several latents a weight are left out (0)
  std::vector<double> layer_sign_changes;
  std::vector<double> layer_quantization_error;
};

/// Remembers the signs of the used weights at the start of a stage.
class WeightWatch {
 public:
  /// Takes the signs of now; call after Engine::use_weights.
  void start(const engine::Engine& engine);
  /// Compares; call after Engine::use_weights.
  WeightChange measure(engine::Engine& engine) const;
  bool empty() const { return signs_.empty(); }  ///< no weight is quantized

  void save(std::vector<NamedTensor>& tensors) const;
  void restore(const SafetensorsFile& file);

 private:
  std::vector<std::uint8_t> signs_;  ///< 1: negative; quantized tensors one after the other
};

}  // namespace qtrain::train
