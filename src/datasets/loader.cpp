#include <algorithm>
#include <array>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "base/aligned.hpp"
#include "base/error.hpp"
#include "datasets/dataset.hpp"
#include "datasets/order.hpp"
#include "datasets/renderer.hpp"

namespace qtrain::datasets {
namespace {

struct Slot {
  AlignedBuffer<float> images;
  AlignedBuffer<std::int32_t> labels;
  int total = 0, first = 0, count = 0;
};

/// Where images may be cut out: in training anywhere in the padded image, else in the centre, of an odd
/// difference the pixel more being left below and on the right.
Shifts shifts_of(const Images& images, const DatasetSpec::Augment& augment, bool training) {
  const int down = augment.crop > 0 ? images.height - augment.crop : 0;
  const int right = augment.crop > 0 ? images.width - augment.crop : 0;
  if (!training) return {down / 2, down / 2, right / 2, right / 2};
  const int padding = augment.crop_padding;
  return {-padding, down + padding, -padding, right + padding};
}

}  // namespace

// A ring of slots between the thread that fills them and the caller of next(). Batches of the pass are
// numbered from 0; batch b lives in slot b % kSlots. The filler may be ahead of the oldest batch still in use
// by kSlots.
struct Loader::State {
  static constexpr int kSlots = 3;

  const Images& images;
  const Part part;
  const int batch_size;
  const bool shuffle;
  const DatasetSpec::Augment augment;
  const Shifts shifts;
  const bool moves;    // images are placed at random
  const bool colours;  // their colours are changed at random
  const Renderer renderer;
  std::array<Slot, kSlots> slots;

  std::mutex mutex;
  std::condition_variable to_filler;
  std::condition_variable to_caller;
  EpochOrder epoch;  // written only while the filler is idle, as is `order`
  std::vector<int> order;
  int end = 0;     // batches of the running pass; 0: none runs
  int filled = 0;  // next batch to fill
  int handed = 0;  // next batch that next() hands out
  int in_use = 0;  // batches below this one may be overwritten
  bool filling = false;
  bool stopping = false;
  std::exception_ptr problem;  // of batch `filled`; those before it are still handed out
  std::thread filler;          // last: it uses all above

  State(const Images& of, const Normalization& normalization, const DatasetSpec& spec, bool training,
        const Part& of_batch)
      : images(of),
        part(of_batch),
        batch_size(spec.batch_size),
        shuffle(training && spec.shuffle),
        augment(spec.augment),
        shifts(shifts_of(of, augment, training)),
        moves(training && (augment.crop_padding > 0 || augment.crop > 0 || augment.flip)),
        colours(training && (augment.brightness > 0 || !augment.contrast.empty())),
        renderer(
            of, normalization,
            {.crop = augment.crop, .colours = colours, .standardize_image = spec.standardize == "image"}) {
    const auto count = static_cast<std::size_t>(images.count);
    QTRAIN_CHECK(batch_size > 0, "batch size {}", batch_size);
    QTRAIN_CHECK(images.pixels.size() == count * renderer.bytes() && images.labels.size() == count,
                 "{} pixels and {} labels for {} images", images.pixels.size(), images.labels.size(), count);
    const int batch = std::min(batch_size, std::max(images.count, 1));
    const auto largest = static_cast<std::size_t>(part.local * ((batch + part.workers - 1) / part.workers));
    for (Slot& slot : slots) {
      slot.images = AlignedBuffer<float>(largest * renderer.image_size());
      slot.labels = AlignedBuffer<std::int32_t>(largest);
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

  int batches() const { return (images.count + batch_size - 1) / batch_size; }

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
        fill(batch, slots[static_cast<std::size_t>(batch % kSlots)]);
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

  void fill(int batch, Slot& slot) const {
    slot.total = std::min(batch_size, images.count - batch * batch_size);
    slot.first = part_begin(slot.total, part.first, part.workers);
    slot.count = part_begin(slot.total, part.first + part.local, part.workers) - slot.first;
    const int first = batch * batch_size + slot.first;
    for (int i = 0; i < slot.count; ++i) {
      const int sample = order[static_cast<std::size_t>(first + i)];
      const auto at = static_cast<std::size_t>(sample);
      QTRAIN_CHECK(images.labels[at] < images.classes, "label {} of image {}", images.labels[at], sample);
      const Placement placement = moves ? draw_placement(epoch, sample, shifts, augment.flip)
                                        : Placement{.down = shifts.first_down, .right = shifts.first_right};
      const Colours changed =
          colours ? draw_colours(epoch, sample, augment.brightness, augment.contrast) : Colours{};
      renderer.render(images.pixels.data() + at * renderer.bytes(), placement, changed,
                      slot.images.data() + static_cast<std::size_t>(i) * renderer.image_size());
      slot.labels[static_cast<std::size_t>(i)] = images.labels[at];
    }
  }

  void start(const EpochOrder& next_epoch, int first_batch) {
    QTRAIN_CHECK(first_batch >= 0, "first batch {}", first_batch);
    std::unique_lock lock(mutex);
    end = 0;  // nothing more of the old pass
    to_caller.wait(lock, [this] { return !filling; });
    epoch = next_epoch;
    order = part.fixed ? split_order(epoch, images.count, shuffle, batch_size, part.workers)
                       : epoch_order(epoch, images.count, shuffle);
    problem = nullptr;
    filled = handed = in_use = first_batch;
    end = batches();
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
    batch.images = std::span(slot.images.data(), count * renderer.image_size());
    batch.labels = std::span(slot.labels.data(), count);
    return true;
  }
};

Loader::Loader(const Images& images, const Normalization& normalization, const DatasetSpec& spec,
               bool training, const Part& part)
    : state_(std::make_unique<State>(images, normalization, spec, training, part)) {}

Loader::~Loader() = default;

int part_begin(int total, int worker, int workers) {
  return static_cast<int>(static_cast<std::int64_t>(total) * worker / workers);
}

int Loader::batches_per_epoch() const { return state_->batches(); }

void Loader::start(const EpochOrder& order, int first_batch) { state_->start(order, first_batch); }

bool Loader::next(Batch& batch) { return state_->next(batch); }

}  // namespace qtrain::datasets
