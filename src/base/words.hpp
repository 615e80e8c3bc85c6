#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace qtrain {

/// "a, b, c<last>d" of a, b, c, d, `last` being " or " or ", or "; a alone for one word, "" for none.
inline std::string joined_words(const std::vector<std::string>& words, const std::string& last) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 < words.size() ? ", " : last) + words[i];
  return text;
}

/// "1 seed", "3 seeds"
inline std::string counted(std::size_t count, const std::string& word) {
  return std::to_string(count) + " " + word + (count == 1 ? "" : "s");
}

}  // namespace qtrain
