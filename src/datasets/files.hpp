#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qtrain::datasets {

/// A data file in memory, decompressed if it was gzip.
struct File {
  std::filesystem::path path;  ///< what was read: `name` or `name.gz`
  std::vector<std::uint8_t> bytes;

  /// "mnist/train-labels-idx1-ubyte.gz: decompressed byte 17": the place an error is about.
  std::string at(std::size_t offset) const;
  /// Error (data) unless there are exactly `expected` bytes; `layout` says what they are made of.
  void check_size(std::size_t expected, const std::string& layout) const;
};

/// `folder/name`, else `folder/name.gz`, else an empty path.
std::filesystem::path find_file(const std::filesystem::path& folder, const std::string& name);

/// Reads `name` or `name.gz` of `folder`. At most `expected` + 1 bytes are kept (and decompressed), so that a
/// file that is too long shows as such without filling memory. Error (data) for a file that is missing,
/// unreadable, or whose gzip data are truncated or corrupt.
File read_file(const std::filesystem::path& folder, const std::string& name, std::size_t expected);

}  // namespace qtrain::datasets
