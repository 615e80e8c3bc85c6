#pragma once
#include <string>

namespace qtrain::run {

/// What `make bench` measures.
struct BenchRequest {
  int threads = 2;
  int batch = 128;
  int rounds = 5;                     ///< of engine and peer in turn
  int steps = 12;                     ///< a round
  std::string precision = "float32";  ///< engine.precision
  std::string peer;  ///< command that prints one JSON line with train_images_per_second; "": none
};

/// Trains ResNet-20 (binary weights, 4-bit activations) on one batch in memory and prints images/s,
/// the share of the measured float32 peak and of oneDNN's bare convolutions, the step by kind, memory, and
/// the ratio to the peer.
void benchmark(const BenchRequest& request);

/// Prints what each weight method, activation quantizer and STE adds to the training step of ResNet-20.
void benchmark_methods(const BenchRequest& request);

}  // namespace qtrain::run
