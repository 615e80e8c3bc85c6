#pragma once
#include <functional>
#include <vector>

#include "base/aligned.hpp"
#include "engine/engine.hpp"
#include "optim/optimizer.hpp"
#include "tensor/safetensors.hpp"

namespace qtrain::train {

/// A choice among the slots; empty: all.
using Choice = std::function<bool(const engine::ParameterSlot&)>;

/// What of u the optimizer adds to the slot's gradient: of learned quantizer values what they say, of others
/// its weight_decay if `decays`.
double weight_decay(const engine::ParameterSlot& slot, const optim::OptimizerSpec& optimizer,
                    const Choice& decays);

/// Applies the base optimizer to all latents and owns its state. Neighbouring slots with equal settings are
/// updated as one run of memory, range by range on all threads. Weight decay goes to weights, biases and
/// batch-norm parameters, as the papers' codes do, or to some of them; learned quantizer values have a decay,
/// a rate factor and a gradient limit of their own.
class Updater {
 public:
  /// `engine` and `optimizer` must outlive it. Frozen slots stay as they are; those for which `decays` (may
  /// be empty) is false have no weight decay.
  Updater(engine::Engine& engine, const optim::OptimizerSpec& optimizer, const Choice& decays = {});

  /// One step with the engine's gradients, cut in place: those of learned values to their limits, then all
  /// that the optimizer moves by optim::clip_gradient. `step` is 0-based.
  void step(double learning_rate, std::int64_t step);
  /// Its state is as before the first step.
  void restart();
  /// The optimizer's second moments, one per latent; empty if it keeps none.
  std::span<const float> second_moment() const;

  void save(std::vector<NamedTensor>& tensors) const;
  void restore(const SafetensorsFile& file);

 private:
  struct Run {
    std::size_t offset = 0;
    std::size_t size = 0;
    double rate_factor = 1;
    double weight_decay = 0;
    std::vector<std::span<float>> slots;
  };

  engine::Engine& engine_;
  const optim::OptimizerSpec& optimizer_;
  std::vector<std::string> names_;
  std::vector<AlignedBuffer<float>> state_;
  std::vector<Run> parts_;                   ///< of at most kRange values, for one thread each
  std::vector<std::span<float>> gradients_;  ///< of each run of equal settings
};

}  // namespace qtrain::train
