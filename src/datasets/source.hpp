#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/aligned.hpp"
#include "datasets/dataset.hpp"

namespace qtrain::datasets {

/// A batch in the making: buffers for the most samples that a batch of its source has.
struct Slot {
  AlignedBuffer<float> images;
  AlignedBuffer<std::int32_t> labels;
  int total = 0, first = 0, count = 0;  ///< as in Batch
};

/// Makes the batches of passes over one split, for a Loader.
class Source {
 public:
  virtual ~Source() = default;
  virtual int batches() const = 0;                  ///< of a pass
  virtual int largest_count() const = 0;            ///< samples of a slot
  virtual std::size_t sample_size() const = 0;      ///< floats of a sample
  virtual std::size_t sample_labels() const = 0;    ///< labels of a sample
  virtual void start(const EpochOrder& order) = 0;  ///< begins a pass; not while a slot is filled
  virtual void fill(int batch, Slot& slot) const = 0;
};

std::unique_ptr<Source> make_image_source(const Images& images, const Normalization& normalization,
                                          bool training, const DatasetSpec& spec, const Part& part);
std::unique_ptr<Source> make_text_source(const Text& text, bool training, const DatasetSpec& spec,
                                         const Part& part);

/// How a text of `tokens` tokens is read, as Loader says.
struct Lanes {
  int count = 0;
  int sequence = 0;         ///< T
  std::int64_t length = 0;  ///< L
  Lanes(std::int64_t tokens, int count, int sequence);
  int steps() const;  ///< 0 if the text is too short for one
};

}  // namespace qtrain::datasets
