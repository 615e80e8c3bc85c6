#include <algorithm>

#include "base/cast.hpp"
#include "base/error.hpp"
#include "datasets/source.hpp"

namespace qtrain::datasets {
namespace {

class TextSource final : public Source {
 public:
  TextSource(const Text& text, const Lanes& lanes, const Part& part)
      : text_(text),
        lanes_(lanes),
        first_(part_begin(lanes.count, part.first, part.workers)),
        count_(part_begin(lanes.count, part.first + part.local, part.workers) - first_) {}

  int batches() const override { return lanes_.steps(); }
  int largest_count() const override { return count_; }
  std::size_t sample_size() const override { return static_cast<std::size_t>(lanes_.sequence); }
  std::size_t sample_labels() const override { return sample_size(); }
  void start(const EpochOrder&) override {}

  void fill(int batch, Slot& slot) const override {
    slot.total = lanes_.count;
    slot.first = first_;
    slot.count = count_;
    float* token = slot.images.data();
    std::int32_t* label = slot.labels.data();
    for (int i = 0; i < count_; ++i) {
      const std::int64_t begin = (first_ + i) * lanes_.length + std::int64_t{batch} * lanes_.sequence;
      const std::uint16_t* in = text_.tokens.data() + begin;
      for (int t = 0; t <= lanes_.sequence; ++t)
        QTRAIN_CHECK(in[t] < text_.vocabulary, "token {} is {}", begin + t, in[t]);
      token = std::copy_n(in, lanes_.sequence, token);
      label = std::copy_n(in + 1, lanes_.sequence, label);
    }
  }

 private:
  const Text& text_;
  const Lanes lanes_;
  const int first_;  // lane
  const int count_;  // lanes
};

}  // namespace

Lanes::Lanes(std::int64_t tokens, int lanes, int tokens_of_step)
    : count(lanes), sequence(tokens_of_step), length(std::max<std::int64_t>(tokens - 1, 0) / lanes) {}

int Lanes::steps() const { return narrow<int>(length / sequence); }

std::unique_ptr<Source> make_text_source(const Text& text, bool training, const DatasetSpec& spec,
                                         const Part& part) {
  QTRAIN_CHECK(spec.batch_size > 0 && spec.sequence > 0, "batch size {}, sequence {}", spec.batch_size,
               spec.sequence);
  const auto tokens = narrow<std::int64_t>(text.tokens.size());
  const Lanes lanes(tokens, spec.batch_size, spec.sequence);
  const int limit = training ? spec.limit.train : spec.limit.test;
  if (lanes.steps() == 0)
    fail(
        ExitCode::usage,
        "the {} text has {} tokens, must have at least {}, for {} lanes of {} tokens and one more: lower "
        "dataset.batch_size or dataset.sequence{}",
        training ? "training" : spec.evaluate, tokens, std::int64_t{lanes.count} * lanes.sequence + 1,
        lanes.count, lanes.sequence,
        limit > 0 ? fmt::format(", or raise dataset.limit.{} = {}", training ? "train" : "test", limit) : "");
  return std::make_unique<TextSource>(text, lanes, part);
}

}  // namespace qtrain::datasets
