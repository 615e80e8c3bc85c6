#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "datasets/dataset.hpp"
#include "datasets/source.hpp"

namespace qtrain::datasets {
namespace {

int all_test_count(const Entry& entry, const std::string& evaluate) {
  return entry.text && evaluate == "validation" ? entry.validation_count : entry.test_count;
}

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

/// Reports the keys that only the other kind of data set has.
void refuse(spec::Reader& reader, const Entry& entry, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (reader.has(key))
      reader.mistake(key, fmt::format("does not apply to {}, which is {}: must be left out", entry.name,
                                      entry.text ? "a text" : "a set of images"));
    reader.ignore(key);
  }
}

void read_image_keys(spec::Reader& reader, const Entry* entry, DatasetSpec& spec) {
  reader.field("shuffle", spec.shuffle, "draw a new training order each epoch");
  read_augment(reader.group("augment", "random changes of training images"), entry, spec.augment);
  reader.choice(
      "standardize", spec.standardize, {"dataset", "image"},
      "to mean 0 and deviation 1: by the data set's constants for each channel, or each image by its own "
      "mean and deviation, the latter at least 1 / sqrt(values), with bytes / 255");
  if (entry != nullptr) refuse(reader, *entry, {"sequence", "evaluate"});
}

void read_text_keys(spec::Reader& reader, const Entry& entry, DatasetSpec& spec) {
  reader.field("sequence", spec.sequence, spec::between(1, 65536),
               "tokens that a step reads of each lane, and through which gradients go back");
  reader.choice("evaluate", spec.evaluate, {"validation", "test"}, "the split that is evaluated");
  refuse(reader, entry, {"shuffle", "augment", "standardize", "held_out"});
}

void read_limit(spec::Reader limits, const Entry* entry, const DatasetSpec& spec, Limit& limit) {
  limits.field("train", limit.train, spec::between(0, entry ? entry->train_count : spec::kInfinity),
               "training images or tokens; 0: all");
  limits.field("test", limit.test,
               spec::between(0, entry ? all_test_count(*entry, spec.evaluate) : spec::kInfinity),
               "images or tokens to evaluate on; 0: all");
  limits.finish();
}

void read_held_out(spec::Reader& reader, const Entry* entry, DatasetSpec& spec) {
  reader.field("held_out", spec.held_out, spec::non_negative,
               "the last so many training images are kept from training and validated on, the test images "
               "are tested on apart; 0 or not given: validation is on the test images");
  if (entry == nullptr) return;
  const int images = spec.limit.train > 0 ? spec.limit.train : entry->train_count;
  if (spec.held_out >= images)
    reader.mistake("held_out",
                   fmt::format("is {}, must be less than the {} training images", spec.held_out, images));
}

/// Of the same kind as `entry`, if that is known.
void read_stand_in(spec::Reader& reader, const Entry* entry, std::string& name) {
  reader.field("if_missing", name,
               "generated data set that stands in when the files are not there; empty: error");
  std::vector<std::string> generated;
  for (const Entry& other : registry())
    if (other.usual_folder == nullptr && (entry == nullptr || other.text == entry->text))
      generated.emplace_back(other.name);
  if (!name.empty() && std::ranges::count(generated, name) == 0)
    reader.mistake("if_missing", fmt::format("is '{}', must be a generated {} ({}) or empty", name,
                                             entry != nullptr && entry->text ? "text" : "data set",
                                             fmt::join(generated, ", ")));
}

/// Reports a split of `tokens` tokens that is too short for one step.
void check_length(spec::Reader& reader, const char* split, int tokens, const DatasetSpec& spec) {
  if (Lanes(tokens, spec.batch_size, spec.sequence).steps() > 0) return;
  const int most = (tokens - 1) / spec.sequence;  // one token is there only to follow another
  if (most > 0)
    reader.mistake("batch_size", fmt::format("is {}, must be at most {} with sequence {}: {} tokens are {}",
                                             spec.batch_size, most, spec.sequence, tokens, split));
  else
    reader.mistake("sequence",
                   fmt::format("is {}, must be less than the {} tokens {}", spec.sequence, tokens, split));
}

/// Of a text, and of what may stand in for it.
void check_lengths(spec::Reader& reader, const Entry& entry, const Entry* stand_in, const DatasetSpec& spec) {
  int train = spec.train_count(entry), test = spec.test_count(entry);
  if (stand_in != nullptr && stand_in->text) {
    train = std::min(train, spec.train_count(*stand_in));
    test = std::min(test, spec.test_count(*stand_in));
  }
  check_length(reader, "to train on", train, spec);
  check_length(reader, "to evaluate on", test, spec);
}

}  // namespace

void DatasetSpec::read(spec::Reader reader) {
  std::vector<std::string> names;
  for (const Entry& entry : registry()) names.emplace_back(entry.name);
  std::string known = reader.has("name") ? "" : name;  // "" stays if there is no such data set
  reader.choice("name", known, names, "the data set");
  const Entry* entry = find(known);
  if (entry != nullptr) name = known;
  reader.field("root", root,
               "folder of its files, searched alone; empty: the usual folder below $QTRAIN_DATA, else data/");
  reader.field("batch_size", batch_size, spec::between(1, 65536),
               "images a batch; of a text, lanes: equal parts of it, read side by side");
  const bool text = entry != nullptr && entry->text;
  text ? read_text_keys(reader, *entry, *this) : read_image_keys(reader, entry, *this);
  read_limit(reader.group("limit", "take only the first images or tokens of a split"), entry, *this, limit);
  read_stand_in(reader, entry, if_missing);
  text ? check_lengths(reader, *entry, find(if_missing), *this) : read_held_out(reader, entry, *this);
  reader.finish();
}

Shape DatasetSpec::sample_shape(const Entry& entry) const {
  if (entry.text) return {sequence};
  if (augment.crop > 0) return {entry.channels, augment.crop, augment.crop};
  return {entry.channels, entry.height, entry.width};
}

int DatasetSpec::train_count(const Entry& entry) const {
  const int all = limit.train > 0 ? std::min(limit.train, entry.train_count) : entry.train_count;
  return std::max(all - std::max(held_out, 0), 0);
}

int DatasetSpec::test_count(const Entry& entry) const {
  const int all = all_test_count(entry, evaluate);
  return limit.test > 0 ? std::min(limit.test, all) : all;
}

int DatasetSpec::steps_per_epoch(const Entry& entry) const {
  const int count = train_count(entry);
  if (entry.text) return Lanes(count, batch_size, sequence).steps();
  return (count + batch_size - 1) / batch_size;
}

}  // namespace qtrain::datasets
