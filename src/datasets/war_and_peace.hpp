#pragma once
#include <cstddef>
#include <filesystem>
#include <string>

#include "datasets/dataset.hpp"

namespace qtrain::datasets {

/// What a file of characters must hold.
struct Characters {
  std::size_t bytes = 0;
  int vocabulary = 0;  ///< distinct ones
};

inline constexpr const char* kWarAndPeaceFile = "warpeace_input.txt";
inline constexpr std::size_t kWarAndPeaceBytes = 3258246;

/// The bytes of `name` (or `name.gz`) in `folder`, numbered from 0 in the order of their values, those that
/// do not occur left out. Error (data) naming file and place for anything but what is expected.
Text read_characters(const std::filesystem::path& folder, const std::string& name,
                     const Characters& expected);

/// The first 80 % of a text to train on; of the rest the first half (validation) or the second (test).
Dataset cut_text(const Text& text, const std::string& evaluate);

}  // namespace qtrain::datasets
