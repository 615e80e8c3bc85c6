#pragma once
#include <filesystem>
#include <string>

#include "datasets/dataset.hpp"

namespace qtrain::datasets {

/// What the files of a word-level text must hold.
struct WordCounts {
  int vocabulary = 0;                       ///< words of the training file, <eos> included
  int train = 0, validation = 0, test = 0;  ///< tokens
};

/// Reads ptb.train.txt and ptb.valid.txt or ptb.test.txt (`evaluate` validation or test), or the same with
/// ".gz", of `folder`. Error (data) naming file and place for a word of the second file that the first has
/// not, or other counts than expected.
Dataset read_words(const std::filesystem::path& folder, const std::string& evaluate,
                   const WordCounts& expected);

}  // namespace qtrain::datasets
