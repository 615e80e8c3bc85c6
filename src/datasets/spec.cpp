#include <fmt/format.h>

#include "datasets/dataset.hpp"

namespace qtrain::datasets {

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

  spec::Reader augmentation = reader.group("augment", "random changes of training images");
  augmentation.field("crop_padding", augment.crop_padding, spec::between(0, 32),
                     "pad with so many black pixels on each side, then crop at random; 0: off");
  augmentation.field("flip", augment.flip, "mirror left and right with probability 1/2");
  augmentation.finish();

  const Entry* entry = find(name);
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

}  // namespace qtrain::datasets
