// data/fetch.sh, run from a copy so that the data it fetches land in a temporary folder; addresses are
// file://.
#include <sys/wait.h>

#include <sstream>

#include "datasets/fixtures.hpp"

namespace qtrain::datasets {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  int code;
  std::string text;
};

class Fetch {
 public:
  Fetch() { fs::copy_file(fs::path(QTRAIN_SOURCE_DIR) / "data/fetch.sh", folder_.path() / "fetch.sh"); }
  const TemporaryFolder& folder() const { return folder_; }

  Outcome run(const std::string& arguments, const fs::path& from) const {
    const Environment base("QTRAIN_FETCH_BASE", ("file://" + from.string()).c_str());
    const fs::path log = folder_.path() / "log";
    const std::string command =
        "sh '" + (folder_.path() / "fetch.sh").string() + "' " + arguments + " > '" + log.string() + "' 2>&1";
    const int status = std::system(command.c_str());
    REQUIRE(WIFEXITED(status));
    std::stringstream text;
    text << std::ifstream(log).rdbuf();
    fs::remove(log);
    return {WEXITSTATUS(status), text.str()};
  }

  /// Nothing but the script is there: no data, no leavings.
  bool untouched() const {
    return std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator{}) == 1;
  }

 private:
  TemporaryFolder folder_;
};

bool no_curl() {
  if (std::system("command -v curl > /dev/null") == 0) return false;
  MESSAGE("skipped: curl is not installed");
  return true;
}

TEST_CASE("fetch.sh: real MNIST files are put in place, then found there") {
  const char* data = std::getenv("QTRAIN_DATA");
  const fs::path files = fs::path(data == nullptr ? "" : data) / "mnist";
  if (!fs::exists(files / "t10k-labels-idx1-ubyte.gz") || no_curl()) {
    MESSAGE("skipped: there is no mnist below $QTRAIN_DATA, or no curl");
    return;
  }
  const Fetch fetch;
  Outcome outcome = fetch.run("mnist", files);
  CHECK_CONTAINS(outcome.text, "fetched, verified");
  CHECK(outcome.code == 0);
  CHECK(fs::file_size(fetch.folder().path() / "mnist/train-images-idx3-ubyte.gz") == 9912422);
  outcome = fetch.run("mnist", "/nowhere");
  CHECK_CONTAINS(outcome.text, "already there");
  CHECK(outcome.code == 0);
  fetch.folder().write("mnist/t10k-labels-idx1-ubyte.gz", {1});
  CHECK(fetch.run("mnist", "/nowhere").code == 1);
  CHECK(fetch.run("mnist", files).code == 0);
  CHECK(fs::file_size(fetch.folder().path() / "mnist/t10k-labels-idx1-ubyte.gz") == 4542);
}

TEST_CASE("fetch.sh: War and Peace is put in place, then found there") {
  const char* data = std::getenv("QTRAIN_DATA");
  const fs::path files = fs::path(data == nullptr ? "" : data) / "warpeace";
  if (!fs::exists(files / "warpeace_input.txt") || no_curl()) {
    MESSAGE("skipped: there is no warpeace below $QTRAIN_DATA, or no curl");
    return;
  }
  const Fetch fetch;
  const Outcome outcome = fetch.run("war_and_peace", files);
  CHECK_CONTAINS(outcome.text, "fetched, verified");
  CHECK(outcome.code == 0);
  CHECK(fs::file_size(fetch.folder().path() / "warpeace/warpeace_input.txt") == 3258246);
  for (const char* name : {"war_and_peace", "war_and_peace_words"})
    CHECK_CONTAINS(fetch.run(name, "/nowhere").text, "already there");
}

TEST_CASE("fetch.sh: files of another digest, broken archives and failed downloads leave nothing behind") {
  if (no_curl()) return;
  const Fetch fetch;
  const TemporaryFolder source;
  for (const char* name : {"train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"})
    source.write(std::string(name) + "-ubyte.gz", gzipped({1, 2, 3}));
  source.write("cifar-100-binary.tar.gz", {1, 2, 3});
  for (const char* name : {"mnist", "fashion_mnist"}) {
    const Outcome outcome = fetch.run(name, source.path());
    CHECK(outcome.code == 1);
    CHECK_CONTAINS(outcome.text, "train-images-idx3-ubyte.gz: FAILED");
    CHECK_CONTAINS(outcome.text, "another SHA-256 than the official " + std::string(name));
    CHECK(fetch.untouched());
  }
  for (const char* name : {"warpeace_input.txt", "ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"})
    source.write(name, {1, 2, 3});
  Outcome outcome = fetch.run("war_and_peace", source.path());
  CHECK(outcome.code == 1);
  CHECK_CONTAINS(outcome.text, "another SHA-256 than the official war_and_peace");
  outcome = fetch.run("penn_treebank", source.path());
  CHECK(outcome.code == 1);
  CHECK_CONTAINS(outcome.text, "ptb.test.txt: FAILED");
  CHECK_CONTAINS(outcome.text, "another MD5 than the official penn_treebank");
  CHECK(fetch.untouched());
  outcome = fetch.run("cifar100", source.path());
  CHECK(outcome.code == 1);
  CHECK_CONTAINS(outcome.text, "not a whole archive");
  CHECK(fetch.untouched());
  outcome = fetch.run("cifar10", source.path());
  CHECK(outcome.code == 1);
  CHECK_CONTAINS(outcome.text, "cifar-10-binary.tar.gz: the download failed");
  CHECK(fetch.untouched());
}

TEST_CASE("fetch.sh: a whole archive with the wrong content is refused") {
  if (no_curl()) return;
  const Fetch fetch;
  const TemporaryFolder source;
  source.write("cifar-10-batches-bin/data_batch_1.bin", {1});
  const std::string command =
      "cd '" + source.path().string() + "' && tar -czf cifar-10-binary.tar.gz cifar-10-batches-bin";
  REQUIRE(std::system(command.c_str()) == 0);
  const Outcome outcome = fetch.run("cifar10", source.path());
  CHECK(outcome.code == 1);
  CHECK_CONTAINS(outcome.text, "data_batch_1.bin: FAILED");
  CHECK(fetch.untouched());
}

TEST_CASE("fetch.sh: usage") {
  const Fetch fetch;
  CHECK(fetch.run("", "/nowhere").code == 2);
  CHECK(fetch.run("mnist cifar10", "/nowhere").code == 2);
  const Outcome outcome = fetch.run("shapes10", "/nowhere");
  CHECK(outcome.code == 2);
  CHECK_CONTAINS(outcome.text,
                 "choose mnist, fashion_mnist, cifar10, cifar100, war_and_peace or penn_treebank");
}

}  // namespace
}  // namespace qtrain::datasets
