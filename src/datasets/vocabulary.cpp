#include "datasets/vocabulary.hpp"

namespace qtrain::datasets {

int Vocabulary::find(std::string_view word) const {
  const auto place = numbers_.find(word);
  return place == numbers_.end() ? -1 : place->second;
}

int Vocabulary::add(std::string_view word) {
  const int known = find(word);
  if (known >= 0 || size() == most_) return known;
  return numbers_.emplace(word, static_cast<std::uint16_t>(size())).first->second;
}

}  // namespace qtrain::datasets
