#include "run/folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "run/json_text.hpp"

namespace qtrain::run {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void fail_exists(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored))
    fail(ExitCode::usage, "{} is a file, must be a folder or not there yet: --out DIR names another",
         path.string());
  fail(ExitCode::usage,
       "{} exists: --resume continues its run, --skip-done passes over it when finished, --out DIR names "
       "another folder",
       path.string());
}

Folder::Folder(fs::path path, bool may_exist) : path_(std::move(path)) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path_, error);
  if (!error && absolute.has_parent_path()) fs::create_directories(absolute.parent_path(), error);
  const bool made = !error && fs::create_directory(path_, error);
  if (!error && !made && !may_exist) fail_exists(path_);
  if (error || !fs::is_directory(path_))
    fail(ExitCode::failed, "cannot make the run folder {}: {}; choose another with --out", path_.string(),
         error ? error.message() : "a file of that name is there");
  lock_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0)
    fail(ExitCode::failed, "cannot open the run folder {}: {}; choose another with --out", path_.string(),
         std::generic_category().message(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(lock_);
    fail(ExitCode::failed,
         "the run folder {} is in use by another qtrain: wait for it or choose another with --out",
         path_.string());
  }
  remove_temporaries();
}

Folder::~Folder() {
  if (lock_ >= 0) ::close(lock_);
}

void Folder::write_history(const std::vector<Json>& rows) const {
  std::string text;
  for (const Json& row : rows) text += compact_text(row) + "\n";
  write_whole(*this / "history.jsonl", text);
}

void Folder::append_history(const Json& row) const {
  std::ofstream out(*this / "history.jsonl", std::ios::app | std::ios::binary);
  out << compact_text(row) << "\n";
  out.close();
  if (!out)
    fail(ExitCode::failed,
         "cannot write {}: {}; check that its folder may be written and has space, then --resume",
         (*this / "history.jsonl").string(), std::generic_category().message(errno));
}

void Folder::remove_temporaries() const {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_, ignored))
    if (entry.path().extension() == ".tmp") fs::remove(entry.path(), ignored);
}

std::optional<Json> finished_metrics(const fs::path& folder) {
  const fs::path path = folder / "metrics.json";
  if (!fs::exists(path)) return std::nullopt;
  const Json metrics = Json::parse(read_whole(path), nullptr, false);
  const bool sound = metrics.is_object() && metrics.contains("spec") && metrics.contains("result") &&
                     metrics["result"].is_object() && metrics["result"].contains("status");
  if (!sound)
    fail(ExitCode::data,
         "{} is not a metrics file of this program: remove it or choose another folder with --out",
         path.string());
  return metrics;
}

}  // namespace qtrain::run
