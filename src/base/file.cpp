#include "base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.hpp"

namespace qtrain {
namespace {

namespace fs = std::filesystem;

/// An open file that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }
  bool close() { return descriptor_ < 0 || ::close(std::exchange(descriptor_, -1)) == 0; }

 private:
  int descriptor_;
};

/// Removes the temporary file unless it was renamed into place.
class Temporary {
 public:
  explicit Temporary(fs::path path) : path_(std::move(path)) {}
  ~Temporary() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  const fs::path& path() const { return path_; }
  void keep() { path_.clear(); }

 private:
  fs::path path_;
};

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail_save(const fs::path& path, const char* action) {
  const int error = errno;
  fail(ExitCode::failed, "cannot save {}: {}: {}; check that its folder exists, may be written and has space",
       path.string(), action, reason(error));
}

// Names hold the process and a count; one that exists was left by a killed process of the same number.
std::pair<fs::path, int> create_temporary(const fs::path& path) {
  static std::atomic<unsigned> count{0};
  for (;;) {
    fs::path name = path;
    name += fmt::format(".{}-{}.tmp", ::getpid(), count.fetch_add(1));
    const int descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) return {std::move(name), descriptor};
    if (errno != EEXIST && errno != EINTR) fail_save(path, "opening a temporary file beside it");
  }
}

bool write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

// Makes the rename durable. Some file systems cannot sync a folder and say EINVAL: then there is nothing to
// wait for.
bool sync_folder(const fs::path& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return descriptor.get() >= 0 && (::fsync(descriptor.get()) == 0 || errno == EINVAL);
}

}  // namespace

void write_whole(const fs::path& path, std::span<const std::byte> bytes) {
  auto created = create_temporary(path);
  Temporary temporary(std::move(created.first));
  Descriptor descriptor(created.second);
  if (!write_all(descriptor.get(), bytes)) fail_save(path, "writing a temporary file beside it");
  if (::fsync(descriptor.get()) != 0) fail_save(path, "flushing a temporary file beside it");
  if (!descriptor.close()) fail_save(path, "closing a temporary file beside it");
  if (::rename(temporary.path().c_str(), path.c_str()) != 0)
    fail_save(path, "renaming a temporary file to it");
  temporary.keep();
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!sync_folder(folder)) fail_save(path, "flushing its folder");
}

void write_whole(const fs::path& path, std::string_view text) {
  write_whole(path, std::as_bytes(std::span(text)));
}

std::string read_whole(const fs::path& path) {
  const auto fail_read = [&path] {
    const int error = errno;
    fail(ExitCode::data, "cannot read {}: {}; check that it is a file that exists and may be read",
         path.string(), reason(error));
  };
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (descriptor.get() < 0 || ::fstat(descriptor.get(), &status) != 0) fail_read();
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t filled = 0;
  for (;;) {  // until the end: the size is a hint, and 0 for pipes and /proc
    if (filled == text.size()) text.resize(text.size() + 4096);
    const ssize_t got = ::read(descriptor.get(), text.data() + filled, text.size() - filled);
    if (got < 0 && errno != EINTR) fail_read();
    if (got == 0) break;
    if (got > 0) filled += static_cast<std::size_t>(got);
  }
  text.resize(filled);
  return text;
}

}  // namespace qtrain
