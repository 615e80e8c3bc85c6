#include "base/file.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "temporary_folder.hpp"

namespace qtrain {
namespace {

namespace fs = std::filesystem;

/// While it lives, no file of this process may grow beyond `bytes`, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit before_{};
};

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  return names;
}

std::string failure_of(const fs::path& path, std::string_view text) {
  try {
    write_whole(path, text);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::failed);
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a file written whole reads back, replaces the one before and leaves nothing beside it") {
  const testing::TemporaryFolder folder;
  const fs::path path = folder / "state.bin";
  std::string large(3'000'000, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 7 % 251);
  for (const std::string& text : {std::string("first"), large, std::string(), std::string(4096, 'x')}) {
    write_whole(path, text);
    CHECK(read_whole(path) == text);
    CHECK(names_in(folder.path()) == std::vector<std::string>{"state.bin"});
  }
}

TEST_CASE("the new file has the permissions of an ordinary one") {
  const testing::TemporaryFolder folder;
  const mode_t mask = ::umask(022);
  write_whole(folder / "plain", "text");
  ::umask(mask);
  struct stat status {};
  REQUIRE(::stat((folder / "plain").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);
}

TEST_CASE("a bare file name is written to the current folder") {
  const testing::TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_whole("bare", "text");
  fs::current_path(before);
  CHECK(read_whole(folder / "bare") == "text");
}

TEST_CASE("a missing folder is named with the system's reason") {
  const testing::TemporaryFolder folder;
  const std::string sentence = failure_of(folder / "absent/metrics.json", "text");
  CHECK(contains(sentence, (folder / "absent/metrics.json").string()));
  CHECK(contains(sentence, "No such file or directory"));
}

TEST_CASE("on a full disk the file before stays and no temporary is left") {
  const testing::TemporaryFolder folder;
  const fs::path path = folder / "checkpoint";
  write_whole(path, "the old state");
  std::string sentence;
  {
    const FileSizeLimit limit(64 * 1024);
    sentence = failure_of(path, std::string(200 * 1024, 'n'));
  }
  CHECK(contains(sentence, path.string()));
  CHECK(contains(sentence, "File too large"));
  CHECK(read_whole(path) == "the old state");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"checkpoint"});
}

TEST_CASE("a target that cannot be renamed to leaves no temporary") {
  const testing::TemporaryFolder folder;
  fs::create_directory(folder / "taken");
  CHECK(contains(failure_of(folder / "taken", "text"), "Is a directory"));
  CHECK(names_in(folder.path()) == std::vector<std::string>{"taken"});
}

TEST_CASE("writers of one path at the same time leave one of their contents, whole") {
  const testing::TemporaryFolder folder;
  const fs::path path = folder / "contested";
  std::vector<std::thread> writers;
  for (const char letter : {'a', 'b', 'c'})
    writers.emplace_back([&path, letter] {
      for (int i = 0; i < 10; ++i) write_whole(path, std::string(100'000, letter));
    });
  for (std::thread& writer : writers) writer.join();
  const std::string text = read_whole(path);
  REQUIRE(text.size() == 100'000);
  CHECK(text == std::string(100'000, text[0]));
  CHECK(names_in(folder.path()) == std::vector<std::string>{"contested"});
}

TEST_CASE("reading says what is missing, and reads files of unknown size") {
  const testing::TemporaryFolder folder;
  CHECK_THROWS_WITH_AS(read_whole(folder / "absent"), doctest::Contains("No such file or directory"), Error);
  CHECK_THROWS_WITH_AS(read_whole(folder.path()), doctest::Contains("Is a directory"), Error);
  CHECK(contains(read_whole("/proc/self/status"), "Pid:"));
}

}  // namespace qtrain
