#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "datasets/dataset.hpp"
#include "dist/exchange.hpp"
#include "dist/transport.hpp"
#include "dist/worker_spec.hpp"
#include "engine/engine.hpp"
#include "tensor/safetensors.hpp"

namespace qtrain::train {

/// What the user asks of a run from outside; all processes learn of it within the step.
struct Requests {
  static constexpr std::uint32_t stop = 1, checkpoint = 2;
};
/// What is asked of this process now.
using Asked = std::function<std::uint32_t()>;

/// The part of a step that workers share: each one's forward and backward pass on its samples, then the
/// exchange of gradients. The workers of this process take turns on one engine; batches are normalised worker
/// by worker, and each worker has running statistics of its own.
class Workers {
 public:
  struct Result {
    engine::BatchResult batch;  ///< of all workers
    std::uint32_t requests = 0;
    std::string broken;  ///< where a number was first not finite; empty if none was
  };

  /// What is given must outlive it. A sample has `targets` labels. Gradients are exchanged that
  /// move something. Where they are to hold weight decay, `decay` tells each slot's.
  Workers(engine::Engine& engine, dist::Transport& transport, const dist::WorkerSpec& spec,
          const quant::GradientSpec& gradients,
          const std::function<double(const engine::ParameterSlot&)>& decay, std::uint64_t seed,
          int targets = 1);

  /// Every worker starts from the engine's running statistics.
  void take_statistics();
  /// Whether this process has latents and optimizer: all have, but for a server's workers elsewhere.
  bool has_latents() const { return transport_.leads() || spec_.protocol == dist::Protocol::all_reduce; }
  /// The weights of the step: Q(u), and from a server its message with them.
  void use_weights(const quant::WeightContext& context);
  /// Whether a server's latents are still finite, to its workers elsewhere, who leave if they are not.
  void share_finite(bool finite);
  /// The values that quantizers took from the first worker's first images, to all.
  void share_learned();
  /// All workers' passes on `batch`, of which this process has its part, and the gradient of the step in the
  /// engine of every process that has latents (before pull_gradients()).
  Result train(const datasets::Batch& batch, const quant::WeightContext& context, const Asked& asked);
  /// Statistics for evaluation in the engine of every process.
  void gather_statistics();
  /// The place that the first process with one found broken; "" if none did.
  std::string first_broken(std::string mine);
  /// The validation loss that a server found, to its workers elsewhere; NaN tells them that training cannot
  /// go on.
  void share_validation(double& loss);

  /// Whether anything is exchanged, and the bytes of the steps since the last call.
  bool exchanges() const { return exchange_ != nullptr; }
  dist::Traffic take_traffic();

  /// What workers have of their own. Every process must call it; the leading one has the tensors.
  std::vector<NamedTensor> save();
  /// Workers that the file does not know start as new ones.
  void restore(const SafetensorsFile& file);
  /// What recurrent layers carry, of all `lanes` samples of a batch. Every process must call it; the leading
  /// one has the tensors.
  std::vector<NamedTensor> save_carried(int lanes);
  /// Begins sequences and lets them go on from there.
  void restore_carried(const SafetensorsFile& file, int lanes);

 private:
  struct Report {
    double loss = 0;
    std::int32_t correct = 0, count = 0;
    std::uint32_t requests = 0, broken = 0;
  };
  void add_decay();
  void run_worker(int worker, const datasets::Batch& batch, std::string& broken);
  void exchange_statistics(int worker, bool into_engine);
  std::span<float> statistics(int worker);

  engine::Engine& engine_;
  dist::Transport& transport_;
  dist::WorkerSpec spec_;
  std::unique_ptr<dist::Exchange> exchange_;
  std::vector<std::pair<const engine::ParameterSlot*, float>> decays_;
  std::vector<Report> reports_;  ///< [worker]
  std::vector<int> targets_;     ///< [worker], of the step
  std::size_t targets_of_sample_;
  std::size_t statistics_size_ = 0;
  std::vector<float> statistics_;      ///< [worker of this process]; empty for one worker
  std::vector<std::byte> message_;     ///< with a server's weights
  std::vector<float> codes_, scales_;  ///< of one tensor of it
  dist::Traffic traffic_;
};

}  // namespace qtrain::train
