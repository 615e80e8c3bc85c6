#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace qtrain::run {

/// The folder of one run and its files. Only one program at a time may hold it.
class Folder {
 public:
  /// Makes the folder and those above it; it must be new unless `may_exist`. An Error (usage) says that it
  /// exists, one (failed) that it cannot be made or that another program holds it. Temporary files that a
  /// killed program left are removed.
  Folder(std::filesystem::path path, bool may_exist);
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const char* file) const { return path_ / file; }

  /// Replaces history.jsonl by these rows.
  void write_history(const std::vector<nlohmann::ordered_json>& rows) const;
  /// Adds one row to it.
  void append_history(const nlohmann::ordered_json& row) const;

 private:
  void remove_temporaries() const;

  std::filesystem::path path_;
  int lock_ = -1;
};

/// The Error (usage) for a folder that exists, with the ways out.
[[noreturn]] void fail_exists(const std::filesystem::path& path);

/// The parsed metrics.json of a finished run in `folder` ("done" or "diverged"); empty when there is none.
std::optional<nlohmann::ordered_json> finished_metrics(const std::filesystem::path& folder);

}  // namespace qtrain::run
