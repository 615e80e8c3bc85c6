#pragma once
#include <cstdint>
#include <vector>

#include "engine/engine.hpp"
#include "tensor/safetensors.hpp"

namespace qtrain::train {

/// How far quantized weights have moved, over all of them and for each tensor in slot order.
struct WeightChange {
  /// Fraction of weights whose latent's sign differs from the stage's start, sign(0) = +1; with several
  /// latents a weight, whose used weight's.
  double sign_changes = 0;
  /// ||u - w*|| / ||u||, the distance of the latents from the exactly quantized weights; where latents are
  /// dual, the used weights take the place of u.
  double quantization_error = 0;
  std::vector<double> layer_sign_changes;
  std::vector<double> layer_quantization_error;
  /// How many weights each level has: by code, lowest first, where w* has codes, else by value. Levels that
  /// no weight has are 0 where codes have a range, and left out elsewhere. Empty when there are more than
  /// 256.
  std::vector<std::vector<std::int64_t>> layer_levels;
};

/// Remembers the signs of the weights at the start of a stage.
class WeightWatch {
 public:
  /// Takes the signs of now; call after Engine::use_weights.
  void start(engine::Engine& engine);
  /// Compares signs; call after Engine::use_weights.
  WeightChange signs(engine::Engine& engine) const;
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
