#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/aligned.hpp"
#include "base/threads.hpp"
#include "engine/context.hpp"
#include "engine/layout.hpp"

namespace qtrain::engine {

enum class StepKind {
  convolution_forward,
  convolution_backward_data,
  convolution_backward_weights,
  linear,
  elementwise_forward,   ///< normalise + activation (+ add)
  elementwise_backward,  ///< STE, normalise backward, sums
  statistics,
  pooling,
  response_norm,
  embedding,
  lstm,
  dropout,
  layout,  ///< reorders, shortcuts, flatten
  loss,
  reduce,  ///< whole-batch sums between segments, gradients
  count
};
const char* to_string(StepKind kind);

/// One piece of work on one shard: a primitive or kernel together with its arguments.
class Step {
 public:
  Step(std::string name, StepKind kind, std::vector<TensorId> reads, std::vector<TensorId> writes)
      : name_(std::move(name)), kind_(kind), reads_(std::move(reads)), writes_(std::move(writes)) {}
  virtual ~Step() = default;
  virtual void run(const RunContext& context) const = 0;

  const std::string& name() const { return name_; }
  StepKind kind() const { return kind_; }
  const std::vector<TensorId>& reads() const { return reads_; }
  const std::vector<TensorId>& writes() const { return writes_; }

 protected:
  /// One more tensor written; only before Program::finish().
  void add_write(TensorId id) { writes_.push_back(id); }

 private:
  std::string name_;
  StepKind kind_;
  std::vector<TensorId> reads_, writes_;
};

/// What all programs of an engine share: threads, arenas and profile.
struct Machine {
  explicit Machine(int threads, bool poison);
  void reserve(int shards, std::size_t shard_bytes, std::size_t thread_bytes, std::size_t scratchpad_bytes);
  std::size_t memory_bytes() const;

  ThreadPool pool;
  bool poison;
  std::size_t shard_stride = 0;
  int shards = 0;
  AlignedBuffer<std::byte> shard_arena;
  std::vector<AlignedBuffer<std::byte>> thread_arenas, scratchpads;
  struct Counter {
    double seconds = 0;
    std::int64_t calls = 0;
  };
  std::vector<std::vector<Counter>> profile;  ///< [thread][kind]
};

/// A compiled list of steps, cut into segments: the steps of a segment run shard by shard on any thread;
/// between segments all shards are done and `after` (sums over the batch) runs once. Compiled for a fixed
/// number of images a shard.
class Program {
 public:
  struct Batch {
    const float* images = nullptr;  ///< [count][image_size]
    const std::int32_t* labels = nullptr;
    int count = 0;
    int first_image = 0;    ///< of these images in the step's batch over all workers
    std::int64_t step = 0;  ///< of the optimizer
    int targets = 1;        ///< labels of one image
  };
  using Whole = std::function<void(int shards, std::size_t images)>;

  explicit Program(int images_per_shard) : images_per_shard_(images_per_shard) {}

  // Building.
  TensorId tensor(std::string name, std::size_t bytes, bool keep_to_end = false);
  /// A tensor of `count` values in that storage.
  TensorId values(std::string name, std::size_t count, Storage storage);
  TensorId input(std::size_t image_size);
  void keep(TensorId id) { tensors_[static_cast<std::size_t>(id)].keep = true; }
  void step(std::unique_ptr<Step> step);
  /// Ends the segment; `after` then runs once for the batch.
  void barrier(Whole after);
  void need_scratchpad(std::size_t bytes);
  /// Plans the arenas. No more building after it.
  void finish(int shards, Machine& machine);

  int images_per_shard() const { return images_per_shard_; }
  /// Where a keep_to_end tensor of a shard lies after the last segment.
  float* kept(const Machine& machine, int shard, TensorId id) const;

  /// Runs all segments over the batch; shard s holds images [s k, (s+1) k). The last one, if short, runs
  /// `last`'s steps instead (compiled for its size; null when there is none).
  void run(const Batch& batch, const Program* last, Machine& machine) const;
  /// Runs shard after shard on this thread, calling check(step, output) after each output of floats; true
  /// stops.
  bool trace(const Batch& batch, const Program* last, Machine& machine,
             const std::function<bool(const Step&, std::span<const float>)>& check) const;

 private:
  struct Tensor {
    std::string name;
    std::size_t bytes = 0;
    bool keep = false;
    bool is_input = false;
    bool is_float = true;
    int first = -1, last = -1;  ///< step indices
  };
  struct Segment {
    std::size_t begin = 0, end = 0;  ///< steps
    Whole after;
  };
  void run_steps(const Segment& segment, const RunContext& context, Machine& machine) const;
  RunContext context_for(const Batch& batch, int shard, int thread, int full_images, Machine& machine) const;
  void find_lives();
  void poison_after(std::size_t step, const RunContext& context) const;

  int images_per_shard_;
  std::size_t image_size_ = 0;
  std::vector<Tensor> tensors_;
  std::vector<std::unique_ptr<Step>> steps_;
  std::vector<Segment> segments_;
  std::vector<Address> addresses_;
  std::size_t shard_bytes_ = 0, thread_bytes_ = 0, scratchpad_bytes_ = 0;
};

}  // namespace qtrain::engine
