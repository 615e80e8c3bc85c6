#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/threads.hpp"
#include "dist/transport.hpp"
#include "dist/worker_spec.hpp"
#include "quant/gradient.hpp"

namespace qtrain::dist {

/// Bytes over all workers, and what they would be with every value in float32.
struct Traffic {
  std::int64_t steps = 0;
  std::int64_t sent = 0, sent_in_floats = 0;          ///< by workers
  std::int64_t received = 0, received_in_floats = 0;  ///< by workers
  void add(const Traffic& other);
};

/// The exchange of one step: every worker's gradients, packed into messages, become the one gradient of the
/// step. Hou, Zhang, Kwok, "Analysis of Quantized Models", ICLR 2019, section 3, for `parameter_server`; with
/// `all_reduce` each worker gets the messages of all others.
///
///   g = combine(sum_n images_n decode(message_n))     in the order of the workers
class Exchange {
 public:
  /// A tensor's gradient lies at `gradient`, always the same place: before put() that of a worker, after
  /// run() that of the step.
  struct Tensor {
    std::span<float> gradient;
    bool quantized = false;   ///< else it travels as floats
    std::uint32_t index = 0;  ///< among the parameters of the model: key of random numbers
  };
  /// An empty `spec.make.exchanged` sends everything as floats.
  Exchange(Transport& transport, std::vector<Tensor> tensors, const quant::GradientSpec& spec,
           Protocol protocol, std::uint64_t seed);

  /// Takes over the gradients of worker `first() + worker` of this process.
  void put(int worker);
  /// `images` of each worker of the job. The gradient is left in every process that holds latents.
  void run(std::span<const int> images, double learning_rate, std::int64_t step, ThreadPool& pool);

  /// Of one step, without what a server sends back.
  const Traffic& traffic() const { return traffic_; }
  /// What the workers of this process remember (GradientQuantizer::memory_size), worker after worker.
  std::span<float> memory() { return memory_; }
  std::size_t memory_of_worker() const { return memory_size_; }

 private:
  struct Packed {
    std::size_t tensor = 0, begin = 0, bytes = 0, memory = 0, memory_size = 0;
  };
  std::span<float> row(int worker) {
    return std::span(rows_).subspan(static_cast<std::size_t>(worker) * row_size_, row_size_);
  }
  std::span<std::byte> message(int worker, const Packed& packed);
  void encode(int worker, std::size_t packed, double learning_rate, std::int64_t step);
  void find_scales();
  void sum_floats(float total);
  void count_traffic();

  Transport& transport_;
  std::vector<Tensor> tensors_;
  std::unique_ptr<quant::GradientQuantizer> quantizer_;
  double clip_;
  Protocol protocol_;
  std::uint64_t seed_;
  std::vector<Packed> packed_;
  std::vector<std::size_t> places_;  ///< of each tensor in a row
  std::size_t row_size_ = 0, float_size_ = 0, message_size_ = 0, memory_size_ = 0;
  std::vector<float> rows_;          ///< [worker of this process]: quantized tensors last
  std::vector<std::byte> messages_;  ///< [worker]
  std::vector<float> scales_;        ///< [worker of this process][packed]
  std::vector<float> memory_, weights_;
  Traffic traffic_;
};

}  // namespace qtrain::dist
