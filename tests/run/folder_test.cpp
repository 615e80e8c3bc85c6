#include "run/folder.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "temporary_folder.hpp"

namespace qtrain::run {
namespace {

using Json = nlohmann::ordered_json;

TEST_CASE("a run folder is made new, and held by one program at a time") {
  const testing::TemporaryFolder place;
  {
    const Folder folder(place / "a/b", false);
    CHECK(std::filesystem::is_directory(place / "a/b"));
    CHECK_THROWS_WITH_AS(Folder(place / "a/b", false), doctest::Contains("--resume"), Error);
    CHECK_THROWS_WITH_AS(Folder(place / "a/b", true), doctest::Contains("in use"), Error);
  }
  CHECK_NOTHROW(Folder(place / "a/b", true));
  std::ofstream(place / "file") << "x";
  CHECK_THROWS_AS(Folder(place / "file", true), Error);
  CHECK_THROWS_WITH_AS(fail_exists(place / "file"), doctest::Contains("is a file"), Error);
  CHECK_THROWS_WITH_AS(fail_exists(place / "a"), doctest::Contains("--resume continues"), Error);
  CHECK_THROWS_AS(Folder(place / "file/below", false), Error);
}

TEST_CASE("history rows are appended and replaced") {
  const testing::TemporaryFolder place;
  const Folder folder(place / "run", false);
  folder.append_history(Json{{"epoch", 1}});
  folder.append_history(Json{{"epoch", 2}});
  CHECK(read_whole(folder / "history.jsonl") == "{\"epoch\": 1}\n{\"epoch\": 2}\n");
  folder.write_history({Json{{"epoch", 1}}});
  CHECK(read_whole(folder / "history.jsonl") == "{\"epoch\": 1}\n");
}

TEST_CASE("temporary files of a killed program are removed, others stay") {
  const testing::TemporaryFolder place;
  std::filesystem::create_directory(place / "run");
  std::ofstream(place / "run/checkpoint.safetensors.12-3.tmp") << "half";
  std::ofstream(place / "run/notes.txt") << "mine";
  const Folder folder(place / "run", true);
  CHECK_FALSE(std::filesystem::exists(folder / "checkpoint.safetensors.12-3.tmp"));
  CHECK(std::filesystem::exists(folder / "notes.txt"));
}

TEST_CASE("a folder counts as finished with a sound metrics.json only") {
  const testing::TemporaryFolder place;
  CHECK_FALSE(finished_metrics(place.path()));
  std::ofstream(place / "metrics.json") << R"({"spec": {}, "result": {"status": "done"}})";
  CHECK(finished_metrics(place.path())->at("result").at("status") == "done");
  std::ofstream(place / "metrics.json") << R"({"spec": {}, "result")";
  CHECK_THROWS_WITH_AS(finished_metrics(place.path()), doctest::Contains("not a metrics file"), Error);
}

}  // namespace
}  // namespace qtrain::run
