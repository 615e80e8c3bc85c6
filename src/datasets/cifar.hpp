#pragma once
#include <filesystem>
#include <span>
#include <string>

#include "datasets/dataset.hpp"

namespace qtrain::datasets {

/// Appends the `records` images of the CIFAR file `name` (or `name.gz`) in `folder` to `images`, whose sizes
/// must be set. Each record has one label byte for each element of `label_classes`, which bounds it; the last
/// one is the label used. Error (data) naming file, offset, what was found and what was expected, for
/// anything else.
void read_cifar(const std::filesystem::path& folder, const std::string& name, int records,
                std::span<const int> label_classes, Images& images);

}  // namespace qtrain::datasets
