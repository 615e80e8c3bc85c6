#include "engine/program.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/cast.hpp"
#include "engine/arena_plan.hpp"
#include "engine/onednn.hpp"

namespace qtrain::engine {

const char* to_string(StepKind kind) {
  switch (kind) {
    case StepKind::convolution_forward:
      return "convolution forward";
    case StepKind::convolution_backward_data:
      return "convolution backward data";
    case StepKind::convolution_backward_weights:
      return "convolution backward weights";
    case StepKind::linear:
      return "linear";
    case StepKind::elementwise_forward:
      return "normalise + quantize";
    case StepKind::elementwise_backward:
      return "normalise + STE backward";
    case StepKind::statistics:
      return "batch statistics";
    case StepKind::pooling:
      return "pooling";
    case StepKind::response_norm:
      return "local response norm";
    case StepKind::embedding:
      return "embedding";
    case StepKind::lstm:
      return "lstm";
    case StepKind::dropout:
      return "dropout";
    case StepKind::layout:
      return "shortcut + layout";
    case StepKind::loss:
      return "loss";
    case StepKind::reduce:
      return "sums over shards";
    case StepKind::count:
      break;
  }
  return "";
}

Machine::Machine(int threads, bool fill_dead)
    : pool(threads, [] { onednn::use_threads(1); }), poison(fill_dead) {
  thread_arenas.resize(static_cast<std::size_t>(threads));
  scratchpads.resize(static_cast<std::size_t>(threads));
  profile.assign(static_cast<std::size_t>(threads),
                 std::vector<Counter>(static_cast<std::size_t>(StepKind::count)));
}

void Machine::reserve(int shard_count, std::size_t shard_bytes, std::size_t thread_bytes,
                      std::size_t scratchpad_bytes) {
  if (shard_bytes > shard_stride || shard_count > shards) {
    shard_stride = std::max(shard_stride, shard_bytes);
    shards = std::max(shards, shard_count);
    shard_arena = AlignedBuffer<std::byte>();
    shard_arena = AlignedBuffer<std::byte>(shard_stride * static_cast<std::size_t>(shards));
  }
  for (auto& arena : thread_arenas)
    if (arena.size() < thread_bytes) arena = AlignedBuffer<std::byte>(thread_bytes);
  for (auto& pad : scratchpads)
    if (pad.size() < scratchpad_bytes) pad = AlignedBuffer<std::byte>(scratchpad_bytes);
}

std::size_t Machine::memory_bytes() const {
  std::size_t bytes = shard_arena.size();
  for (const auto& arena : thread_arenas) bytes += arena.size();
  for (const auto& pad : scratchpads) bytes += pad.size();
  return bytes;
}

TensorId Program::tensor(std::string name, std::size_t bytes, bool keep_to_end) {
  tensors_.push_back({.name = std::move(name), .bytes = bytes, .keep = keep_to_end});
  return narrow<TensorId>(tensors_.size() - 1);
}

TensorId Program::values(std::string name, std::size_t count, Storage storage) {
  const TensorId id = tensor(std::move(name), count * size_of(storage));
  tensors_.back().is_float = storage == Storage::float32;
  return id;
}

TensorId Program::input(std::size_t image_size) {
  image_size_ = image_size;
  const TensorId id =
      tensor("input", static_cast<std::size_t>(images_per_shard_) * image_size * sizeof(float));
  tensors_.back().is_input = true;
  return id;
}

void Program::step(std::unique_ptr<Step> step) { steps_.push_back(std::move(step)); }

void Program::barrier(Whole after) {
  const std::size_t begin = segments_.empty() ? 0 : segments_.back().end;
  segments_.push_back({begin, steps_.size(), std::move(after)});
}

void Program::need_scratchpad(std::size_t bytes) { scratchpad_bytes_ = std::max(scratchpad_bytes_, bytes); }

void Program::find_lives() {
  for (std::size_t s = 0; s < steps_.size(); ++s)
    for (const auto* ids : {&steps_[s]->reads(), &steps_[s]->writes()})
      for (const TensorId id : *ids) {
        Tensor& t = tensors_[static_cast<std::size_t>(id)];
        if (t.first < 0) t.first = narrow<int>(s);
        t.last = narrow<int>(s);
      }
}

// A tensor that lives within one segment belongs to the thread (its next user is the same thread, on the same
// shard, and finds it in cache); one that crosses a barrier belongs to the shard.
void Program::finish(int shards, Machine& machine) {
  if (segments_.empty() || segments_.back().end != steps_.size()) barrier({});
  find_lives();
  const auto segment_of = [&](int step) {
    return std::ranges::upper_bound(segments_, static_cast<std::size_t>(step), {}, &Segment::end) -
           segments_.begin();
  };
  const int end = narrow<int>(steps_.size());
  addresses_.assign(tensors_.size(), {});
  for (const Base base : {Base::shard, Base::thread}) {
    std::vector<Life> lives;
    std::vector<std::size_t> ids;
    for (std::size_t id = 0; id < tensors_.size(); ++id) {
      const Tensor& t = tensors_[id];
      if (t.is_input) addresses_[id] = {Base::images, 0};
      if (t.is_input || t.first < 0) continue;
      const bool local = !t.keep && segment_of(t.first) == segment_of(t.last);
      if (local != (base == Base::thread)) continue;
      ids.push_back(id);
      lives.push_back({t.bytes, t.first, t.keep ? end : t.last});
    }
    const ArenaPlan plan = plan_arena(lives);
    for (std::size_t k = 0; k < ids.size(); ++k) addresses_[ids[k]] = {base, plan.offsets[k]};
    (base == Base::shard ? shard_bytes_ : thread_bytes_) = plan.bytes;
  }
  machine.reserve(shards, shard_bytes_, thread_bytes_, scratchpad_bytes_);
}

float* Program::kept(const Machine& machine, int shard, TensorId id) const {
  const std::size_t offset = addresses_[static_cast<std::size_t>(id)].offset;
  return reinterpret_cast<float*>(const_cast<std::byte*>(machine.shard_arena.data()) +
                                  static_cast<std::size_t>(shard) * machine.shard_stride + offset);
}

RunContext Program::context_for(const Batch& batch, int shard, int thread, int full_images,
                                Machine& machine) const {
  const std::size_t first = static_cast<std::size_t>(shard) * static_cast<std::size_t>(full_images);
  const auto t = static_cast<std::size_t>(thread);
  RunContext context;
  context.addresses = addresses_.data();
  context.bases = {machine.shard_arena.data() + static_cast<std::size_t>(shard) * machine.shard_stride,
                   machine.thread_arenas[t].data(),
                   reinterpret_cast<std::byte*>(const_cast<float*>(batch.images + first * image_size_))};
  context.scratchpad = machine.scratchpads[t].data();
  const auto targets = static_cast<std::size_t>(batch.targets);
  context.labels = batch.labels != nullptr ? batch.labels + first * targets : nullptr;
  context.shard = shard;
  context.thread = thread;
  context.image = static_cast<std::uint32_t>(batch.first_image) + static_cast<std::uint32_t>(first);
  context.step = static_cast<std::uint32_t>(batch.step);
  context.inverse_batch = 1.0f / static_cast<float>(batch.count * batch.targets);
  return context;
}

void Program::run_steps(const Segment& segment, const RunContext& context, Machine& machine) const {
  using Clock = std::chrono::steady_clock;
  auto& counters = machine.profile[static_cast<std::size_t>(context.thread)];
  auto before = Clock::now();
  for (std::size_t k = segment.begin; k < segment.end; ++k) {
    steps_[k]->run(context);
    const auto now = Clock::now();
    auto& counter = counters[static_cast<std::size_t>(steps_[k]->kind())];
    counter.seconds += std::chrono::duration<double>(now - before).count();
    ++counter.calls;
    before = now;
    if (machine.poison) poison_after(k, context);
  }
}

void Program::poison_after(std::size_t step, const RunContext& context) const {
  for (std::size_t id = 0; id < tensors_.size(); ++id) {
    const Tensor& t = tensors_[id];
    if (t.is_input || t.keep || t.last != static_cast<int>(step)) continue;
    std::memset(context.raw(static_cast<TensorId>(id)), 0xFF, t.bytes);  // NaN in either float format
  }
}

void Program::run(const Batch& batch, const Program* last, Machine& machine) const {
  const int full = batch.count / images_per_shard_;
  const int shards = full + (last != nullptr ? 1 : 0);
  for (std::size_t s = 0; s < segments_.size(); ++s) {
    machine.pool.run(shards, [&](int shard, int thread) {
      const Program& program = shard < full ? *this : *last;
      program.run_steps(program.segments_[s],
                        program.context_for(batch, shard, thread, images_per_shard_, machine), machine);
    });
    if (!segments_[s].after) continue;
    const auto before = std::chrono::steady_clock::now();
    segments_[s].after(shards, static_cast<std::size_t>(batch.count));
    auto& counter = machine.profile[0][static_cast<std::size_t>(StepKind::reduce)];
    counter.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
    ++counter.calls;
  }
}

bool Program::trace(const Batch& batch, const Program* last, Machine& machine,
                    const std::function<bool(const Step&, std::span<const float>)>& check) const {
  const int full = batch.count / images_per_shard_;
  const int shards = full + (last != nullptr ? 1 : 0);
  for (std::size_t s = 0; s < segments_.size(); ++s) {
    for (int shard = 0; shard < shards; ++shard) {
      const Program& program = shard < full ? *this : *last;
      const RunContext context = program.context_for(batch, shard, 0, images_per_shard_, machine);
      const Segment& segment = program.segments_[s];
      for (std::size_t k = segment.begin; k < segment.end; ++k) {
        const Step& step = *program.steps_[k];
        step.run(context);
        for (const TensorId id : step.writes()) {
          const Tensor& tensor = program.tensors_[static_cast<std::size_t>(id)];
          if (tensor.is_float && check(step, {context.at(id), tensor.bytes / sizeof(float)})) return true;
        }
      }
    }
    if (segments_[s].after) segments_[s].after(shards, static_cast<std::size_t>(batch.count));
  }
  return false;
}

}  // namespace qtrain::engine
