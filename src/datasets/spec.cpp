#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "datasets/dataset.hpp"

namespace qtrain::datasets {
namespace {

void read_augment(spec::Reader keys, const Entry* entry, DatasetSpec::Augment& augment) {
  keys.field("crop_padding", augment.crop_padding, spec::between(0, 32),
             "pad with so many black pixels on each side, then crop at random; 0: off");
  keys.field("crop", augment.crop, spec::between(0, 4096),
             "cut out crop x crop pixels at random, for evaluation in the centre; 0: the images' own size");
  keys.field("flip", augment.flip, "mirror left and right with probability 1/2");
  keys.field("brightness", augment.brightness, spec::between(0, 255),
             "add U(-brightness, brightness) to all bytes, not cut to [0, 255]; 0: off");
  keys.field(
      "contrast", augment.contrast, spec::non_negative,
      "[low, high]: after brightness, take each channel U(low, high) times as far from its mean; [] off");
  const std::vector<double>& contrast = augment.contrast;
  if (!contrast.empty() && (contrast.size() != 2 || contrast[0] >= contrast[1]))
    keys.mistake("contrast",
                 fmt::format("is [{}], must be two numbers, low < high, or []", fmt::join(contrast, ", ")));
  if (entry != nullptr && augment.crop > std::min(entry->height, entry->width))
    keys.mistake(
        "crop", fmt::format("is {}, must be at most {}, the images of {} being {}x{}", augment.crop,
                            std::min(entry->height, entry->width), entry->name, entry->height, entry->width));
  keys.finish();
}

}  // namespace

void DatasetSpec::read(spec::Reader reader) {
  std::vector<std::string> names, generated;
  for (const Entry& entry : registry()) {
    names.emplace_back(entry.name);
    if (entry.usual_folder == nullptr) generated.emplace_back(entry.name);
  }
  reader.choice("name", name, names, "the data set");
  reader.field("root", root, "folder of its files; empty: the usual folder below $QTRAIN_DATA or data/");
  reader.field("batch_size", batch_size, spec::between(1, 65536), "images a batch");
  reader.field("shuffle", shuffle, "draw a new training order each epoch");

  const Entry* entry = find(name);
  read_augment(reader.group("augment", "random changes of training images"), entry, augment);
  reader.choice(
      "standardize", standardize, {"dataset", "image"},
      "to mean 0 and deviation 1: by the data set's constants for each channel, or each image by its own "
      "mean and deviation, the latter at least 1 / sqrt(values), with bytes / 255");
  spec::Reader limits = reader.group("limit", "take only the first images of a split");
  limits.field("train", limit.train, spec::between(0, entry ? entry->train_count : spec::kInfinity),
               "training images; 0: all");
  limits.field("test", limit.test, spec::between(0, entry ? entry->test_count : spec::kInfinity),
               "test images; 0: all");
  limits.finish();

  reader.field("if_missing", if_missing,
               "generated data set that stands in when the files are not there; empty: error");
  const Entry* stand_in = find(if_missing);
  if (!if_missing.empty() && (stand_in == nullptr || stand_in->usual_folder != nullptr))
    reader.mistake("if_missing", fmt::format("is '{}', must be a generated data set ({}) or empty",
                                             if_missing, fmt::join(generated, ", ")));
  reader.finish();
}

Shape DatasetSpec::image_shape(const Entry& entry) const {
  if (augment.crop > 0) return {entry.channels, augment.crop, augment.crop};
  return {entry.channels, entry.height, entry.width};
}

}  // namespace qtrain::datasets
