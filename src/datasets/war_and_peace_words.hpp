#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/dataset.hpp"

namespace qtrain::datasets {

/// The words of a text in lower case, N for digits and <eos> for ends of sentences, as
/// war_and_peace_words.cpp defines them.
std::vector<std::string> split_words(std::string_view text);

/// Numbers words by how often they occur among the first `counted`: 0 is any that is not among the
/// `vocabulary` - 1 most frequent, of equally frequent ones the first to appear is kept first.
Text number_words(const std::vector<std::string>& words, std::size_t counted, int vocabulary);

}  // namespace qtrain::datasets
