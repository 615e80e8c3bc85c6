#include <array>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "base/error.hpp"
#include "datasets/dataset.hpp"
#include "datasets/source.hpp"

namespace qtrain::datasets {
namespace {

const Images& images_of(const Dataset& data, Split split) {
  if (split == Split::train) return data.train;
  return split == Split::validation && data.held_out.count > 0 ? data.held_out : data.test;
}

std::unique_ptr<Source> make_source(const Dataset& data, Split split, const DatasetSpec& spec,
                                    const Part& part) {
  const bool training = split == Split::train;
  if (data.is_text())
    return make_text_source(training ? data.train_text : data.test_text, training, spec, part);
  return make_image_source(images_of(data, split), data.normalization, training, spec, part);
}

}  // namespace

// A ring of slots between the thread that fills them and the caller of next(). Batches of the pass are
// numbered from 0; batch b lives in slot b % kSlots. The filler may be ahead of the oldest batch still in use
// by kSlots.
struct Loader::State {
  static constexpr int kSlots = 3;

  const std::unique_ptr<Source> source;  // changed only while the filler is idle
  std::array<Slot, kSlots> slots;

  std::mutex mutex;
  std::condition_variable to_filler;
  std::condition_variable to_caller;
  int end = 0;     // batches of the running pass; 0: none runs
  int filled = 0;  // next batch to fill
  int handed = 0;  // next batch that next() hands out
  int in_use = 0;  // batches below this one may be overwritten
  bool filling = false;
  bool stopping = false;
  std::exception_ptr problem;  // of batch `filled`; those before it are still handed out
  std::thread filler;          // last: it uses all above

  explicit State(std::unique_ptr<Source> of) : source(std::move(of)) {
    const auto largest = static_cast<std::size_t>(source->largest_count());
    for (Slot& slot : slots) {
      slot.images = AlignedBuffer<float>(largest * source->sample_size());
      slot.labels = AlignedBuffer<std::int32_t>(largest * source->sample_labels());
    }
    filler = std::thread([this] { fill_until_stopped(); });
  }

  ~State() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    to_filler.notify_one();
    filler.join();
  }

  void fill_until_stopped() {
    std::unique_lock lock(mutex);
    for (;;) {
      to_filler.wait(lock, [this] { return stopping || (filled < end && filled - in_use < kSlots); });
      if (stopping) return;
      filling = true;
      const int batch = filled;
      lock.unlock();
      std::exception_ptr caught;
      try {
        source->fill(batch, slots[static_cast<std::size_t>(batch % kSlots)]);
      } catch (...) {
        caught = std::current_exception();
      }
      lock.lock();
      filling = false;
      if (caught == nullptr) {
        ++filled;
      } else {
        problem = caught;
        end = 0;
      }
      to_caller.notify_one();
    }
  }

  void start(const EpochOrder& order, int first_batch) {
    QTRAIN_CHECK(first_batch >= 0, "first batch {}", first_batch);
    std::unique_lock lock(mutex);
    end = 0;  // nothing more of the old pass
    to_caller.wait(lock, [this] { return !filling; });
    source->start(order);
    problem = nullptr;
    filled = handed = in_use = first_batch;
    end = source->batches();
    to_filler.notify_one();
  }

  bool next(Batch& batch) {
    std::unique_lock lock(mutex);
    in_use = handed;  // the batch handed out before is done with
    to_filler.notify_one();
    to_caller.wait(lock, [this] { return handed < filled || handed >= end || problem != nullptr; });
    if (handed == filled && problem != nullptr) std::rethrow_exception(problem);
    if (handed == filled) return false;
    const Slot& slot = slots[static_cast<std::size_t>(handed++ % kSlots)];
    const auto count = static_cast<std::size_t>(slot.count);
    batch.total = slot.total;
    batch.first = slot.first;
    batch.count = slot.count;
    batch.images = slot.images.span().first(count * source->sample_size());
    batch.labels = slot.labels.span().first(count * source->sample_labels());
    return true;
  }
};

Loader::Loader(const Dataset& data, Split split, const DatasetSpec& spec, const Part& part)
    : state_(std::make_unique<State>(make_source(data, split, spec, part))) {}

Loader::~Loader() = default;

int part_begin(int total, int worker, int workers) {
  return static_cast<int>(static_cast<std::int64_t>(total) * worker / workers);
}

int Loader::batches_per_epoch() const { return state_->source->batches(); }

void Loader::start(const EpochOrder& order, int first_batch) { state_->start(order, first_batch); }

bool Loader::next(Batch& batch) { return state_->next(batch); }

}  // namespace qtrain::datasets
