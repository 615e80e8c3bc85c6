#include "datasets/cifar.hpp"

#include "datasets/fixtures.hpp"

namespace qtrain::datasets {
namespace {

Images tiny(int classes) {
  return {.count = 0, .channels = 3, .height = 2, .width = 2, .classes = classes, .pixels = {}, .labels = {}};
}

const Bytes kTwo = followed_by_ramp(followed_by_ramp({3}, 12, 50), 13, 9);  // labels 3 and 9
constexpr int kTen[] = {10};
constexpr int kCoarseFine[] = {20, 100};

std::string error_of(const Bytes& bytes, std::span<const int> classes) {
  const TemporaryFolder folder;
  folder.write("a.bin", bytes);
  return data_error([&] {
    Images images = tiny(10);
    read_cifar(folder.path(), "a.bin", 2, classes, images);
  });
}

TEST_CASE("cifar: one label byte a record; files are appended") {
  const TemporaryFolder folder;
  folder.write("a.bin", kTwo);
  Images images = tiny(10);
  read_cifar(folder.path(), "a.bin", 2, kTen, images);
  read_cifar(folder.path(), "a.bin", 2, kTen, images);
  CHECK(images.count == 4);
  CHECK(images.labels == Bytes{3, 9, 3, 9});
  const Bytes once = followed_by_ramp(followed_by_ramp({}, 12, 50), 12, 10);
  Bytes twice = once;
  twice.insert(twice.end(), once.begin(), once.end());
  CHECK(images.pixels == twice);
}

TEST_CASE("cifar: of a coarse and a fine label, the fine one is used") {
  const TemporaryFolder folder;
  folder.write("a.bin", followed_by_ramp(followed_by_ramp({19, 99}, 12, 50), 14, 4));
  Images images = tiny(100);
  read_cifar(folder.path(), "a.bin", 2, kCoarseFine, images);
  CHECK(images.labels == Bytes{99, 5});
  CHECK(images.pixels == followed_by_ramp(followed_by_ramp({}, 12, 50), 12, 6));
}

TEST_CASE("cifar: labels out of range and wrong sizes name the offset") {
  Bytes bytes = kTwo;
  bytes[13] = 10;
  CHECK_CONTAINS(error_of(bytes, kTen), "a.bin: byte 13: the label of record 1 is 10, expected 0 to 9");
  bytes = followed_by_ramp(followed_by_ramp({19, 99}, 12), 14, 4);
  bytes[14] = 20;
  CHECK_CONTAINS(error_of(bytes, kCoarseFine), "byte 14: the label of record 1 is 20, expected 0 to 19");
  bytes = followed_by_ramp(followed_by_ramp({19, 100}, 12), 14, 4);
  CHECK_CONTAINS(error_of(bytes, kCoarseFine), "byte 1: the label of record 0 is 100, expected 0 to 99");
  CHECK_CONTAINS(error_of(bytes, kTen), "byte 26: the file goes on, expected 26 bytes (2 records of 13)");
  CHECK_CONTAINS(error_of({1, 2, 3}, kTen),
                 "byte 3: the file ends here, expected 26 bytes (2 records of 13)");
}

}  // namespace
}  // namespace qtrain::datasets
