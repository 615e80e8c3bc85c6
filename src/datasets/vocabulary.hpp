#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace qtrain::datasets {

/// Words and their numbers, in the order in which they were added.
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

}  // namespace qtrain::datasets
