#pragma once
#include <cstddef>
#include <vector>

#include "engine/engine.hpp"
#include "quant/gradient.hpp"

namespace qtrain::train {

/// Puts the gradient of every weight tensor through its message, before the optimizer's step. Biases, batch
/// norm and learned quantizer values keep theirs.
class GradientExchange {
 public:
  /// `engine` must outlive it. Without a method it does nothing.
  GradientExchange(engine::Engine& engine, const quant::GradientSpec& spec, std::uint64_t seed);
  /// Clips, encodes and decodes the gradients of step `step` in place.
  void run(std::int64_t step);

 private:
  struct Message {
    std::size_t offset = 0, size = 0;
    std::uint32_t tensor = 0;
    std::vector<std::byte> bytes;
  };
  engine::Engine& engine_;
  double clip_;
  std::uint64_t seed_;
  std::unique_ptr<quant::GradientQuantizer> quantizer_;
  std::vector<Message> messages_;
};

}  // namespace qtrain::train
