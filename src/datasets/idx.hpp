#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qtrain::datasets {

/// What an IDX file of images must say in its header.
struct IdxImages {
  int count = 0;
  int height = 0;
  int width = 0;
};

/// Pixels [count][height][width] of the IDX file `name` (or `name.gz`) in `folder`. Error (data) naming file,
/// offset, what was found and what was expected, for anything but the expected images.
std::vector<std::uint8_t> read_idx_images(const std::filesystem::path& folder, const std::string& name,
                                          const IdxImages& expected);

/// Labels [count] of the IDX file `name` (or `name.gz`), each below `classes`. Errors as above.
std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& folder, const std::string& name,
                                          int count, int classes);

}  // namespace qtrain::datasets
