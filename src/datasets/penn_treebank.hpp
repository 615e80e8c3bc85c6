#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "datasets/dataset.hpp"

namespace qtrain::datasets {

/// Words and their numbers, in the order of their first appearance.
class Vocabulary {
 public:
  explicit Vocabulary(int most) : most_(most) {}
  int size() const { return static_cast<int>(numbers_.size()); }
  int most() const { return most_; }
  int find(std::string_view word) const;  ///< its number, -1 if there is no such word
  int add(std::string_view word);         ///< its number, new or not, -1 if there are `most` others already

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  const int most_;
  std::unordered_map<std::string, std::uint16_t, Hash, std::equal_to<>> numbers_;
};

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
