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
  /// ||u - w*|| / ||u||, the distance of the latents from the exactly quantized weights; with several latents
  /// a weight, the used weights take the place of u.
  double quantization_error = 0;
  std::vector<double> layer_sign_changes;
  std::vector<double> layer_quantization_error;
  /// How many weights each level has: by code, lowest first, where w* has codes, else by value; empty when
  /// there are more than 256.
  std::vector<std::vector<std::int64_t>> layer_levels;
};

/// Remembers the signs of the used weights at the start of a stage.
class WeightWatch {
 public:
  /// Takes the signs of now; call after Engine::use_weights.
  void start(const engine::Engine& engine);
  /// Compares signs; call after Engine::use_weights.
  WeightChange signs(const engine::Engine& engine) const;
  /// Adds what is known of the exactly quantized weights, which are in use; `used` are those of training, of
  /// all quantized tensors in slot order.
  static void quantized(engine::Engine& engine, std::span<const float> used, WeightChange& change);
  bool empty() const { return signs_.empty(); }  ///< no weight is quantized

  void save(std::vector<NamedTensor>& tensors) const;
  void restore(const SafetensorsFile& file);

 private:
  std::vector<std::uint8_t> signs_;  ///< 1: negative; quantized tensors one after the other
};

}  // namespace qtrain::train
