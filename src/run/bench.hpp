#pragma once
#include <string>

#include "run/bench_subject.hpp"

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

/// Runs the peer once; the number under `key` of the JSON line it prints.
double ask_peer(const std::string& command, const char* key);
/// The training step by kind of step.
void print_profile(const BenchSubject::Times& times, int steps, int threads);

/// Trains ResNet-20 (binary weights, 4-bit activations) on one batch in memory and prints images/s,
/// the share of the measured float32 peak and of oneDNN's bare convolutions, the step by kind, memory, and
/// the ratio to the peer.
void benchmark(const BenchRequest& request);

/// Prints what each weight method, activation quantizer and STE adds to the training step of ResNet-20.
void benchmark_methods(const BenchRequest& request);

/// Prints, for each distinct convolution of ResNet-20 and of ResNet-18 at 224x224, the speed of the bit
/// planes at several pairs of bits, its share of the measured peak of xor, popcount and add, and its ratio to
/// oneDNN's float32 and int8 convolutions of the same tensors.
void benchmark_bits(const BenchRequest& request);

/// Trains the LSTM of the LAB paper (512 cells, one scale a tensor of binary weights, 100 texts of 100
/// characters) and prints tokens/s, the share of the measured float32 peak, the step by kind, and the ratio
/// to the peer, which is asked for train_tokens_per_second.
void benchmark_language_model(const BenchRequest& request);

/// Prints the speed of ResNet-20's inference at several bits by each execution path.
void benchmark_inference(const BenchRequest& request);

}  // namespace qtrain::run
