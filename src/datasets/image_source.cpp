#include <algorithm>

#include "base/error.hpp"
#include "datasets/order.hpp"
#include "datasets/renderer.hpp"
#include "datasets/source.hpp"

namespace qtrain::datasets {
namespace {

/// Where images may be cut out: in training anywhere in the padded image, else in the centre, of an odd
/// difference the pixel more being left below and on the right.
Shifts shifts_of(const Images& images, const DatasetSpec::Augment& augment, bool training) {
  const int down = augment.crop > 0 ? images.height - augment.crop : 0;
  const int right = augment.crop > 0 ? images.width - augment.crop : 0;
  if (!training) return {down / 2, down / 2, right / 2, right / 2};
  const int padding = augment.crop_padding;
  return {-padding, down + padding, -padding, right + padding};
}

class ImageSource final : public Source {
 public:
  ImageSource(const Images& images, const Normalization& normalization, bool training,
              const DatasetSpec& spec, const Part& part)
      : images_(images),
        part_(part),
        batch_size_(spec.batch_size),
        shuffle_(training && spec.shuffle),
        augment_(spec.augment),
        shifts_(shifts_of(images, augment_, training)),
        moves_(training && (augment_.crop_padding > 0 || augment_.crop > 0 || augment_.flip)),
        colours_(training && (augment_.brightness > 0 || !augment_.contrast.empty())),
        renderer_(
            images, normalization,
            {.crop = augment_.crop, .colours = colours_, .standardize_image = spec.standardize == "image"}) {
    const auto count = static_cast<std::size_t>(images_.count);
    QTRAIN_CHECK(batch_size_ > 0, "batch size {}", batch_size_);
    QTRAIN_CHECK(images_.pixels.size() == count * renderer_.bytes() && images_.labels.size() == count,
                 "{} pixels and {} labels for {} images", images_.pixels.size(), images_.labels.size(),
                 count);
  }

  int batches() const override { return (images_.count + batch_size_ - 1) / batch_size_; }
  int largest_count() const override {
    const int batch = std::min(batch_size_, std::max(images_.count, 1));
    return part_.local * ((batch + part_.workers - 1) / part_.workers);
  }
  std::size_t sample_size() const override { return renderer_.image_size(); }
  std::size_t sample_labels() const override { return 1; }

  void start(const EpochOrder& order) override {
    epoch_ = order;
    order_ = part_.fixed ? split_order(epoch_, images_.count, shuffle_, batch_size_, part_.workers)
                         : epoch_order(epoch_, images_.count, shuffle_);
  }

  void fill(int batch, Slot& slot) const override {
    slot.total = std::min(batch_size_, images_.count - batch * batch_size_);
    slot.first = part_begin(slot.total, part_.first, part_.workers);
    slot.count = part_begin(slot.total, part_.first + part_.local, part_.workers) - slot.first;
    const int first = batch * batch_size_ + slot.first;
    for (int i = 0; i < slot.count; ++i) {
      const int sample = order_[static_cast<std::size_t>(first + i)];
      const auto at = static_cast<std::size_t>(sample);
      QTRAIN_CHECK(images_.labels[at] < images_.classes, "label {} of image {}", images_.labels[at], sample);
      const Placement placement = moves_
                                      ? draw_placement(epoch_, sample, shifts_, augment_.flip)
                                      : Placement{.down = shifts_.first_down, .right = shifts_.first_right};
      const Colours changed =
          colours_ ? draw_colours(epoch_, sample, augment_.brightness, augment_.contrast) : Colours{};
      renderer_.render(images_.pixels.data() + at * renderer_.bytes(), placement, changed,
                       slot.images.data() + static_cast<std::size_t>(i) * renderer_.image_size());
      slot.labels[static_cast<std::size_t>(i)] = images_.labels[at];
    }
  }

 private:
  const Images& images_;
  const Part part_;
  const int batch_size_;
  const bool shuffle_;
  const DatasetSpec::Augment augment_;
  const Shifts shifts_;
  const bool moves_;    // images are placed at random
  const bool colours_;  // their colours are changed at random
  const Renderer renderer_;
  EpochOrder epoch_;
  std::vector<int> order_;
};

}  // namespace

std::unique_ptr<Source> make_image_source(const Images& images, const Normalization& normalization,
                                          bool training, const DatasetSpec& spec, const Part& part) {
  return std::make_unique<ImageSource>(images, normalization, training, spec, part);
}

}  // namespace qtrain::datasets
