#include "datasets/idx.hpp"

#include "datasets/fixtures.hpp"

namespace qtrain::datasets {
namespace {

constexpr IdxImages kThree{.count = 3, .height = 2, .width = 4};

Bytes image_file() { return followed_by_ramp(idx_header({0x803, 3, 2, 4}), 24, 100); }
Bytes label_file() {
  Bytes bytes = idx_header({0x801, 3});
  for (const int label : {7, 0, 9}) bytes.push_back(static_cast<std::uint8_t>(label));
  return bytes;
}

std::string images_error(const Bytes& bytes, const std::string& name = "images") {
  const TemporaryFolder folder;
  folder.write(name, bytes);
  return data_error([&] { read_idx_images(folder.path(), "images", kThree); });
}

std::string labels_error(const Bytes& bytes) {
  const TemporaryFolder folder;
  folder.write("labels", bytes);
  return data_error([&] { read_idx_labels(folder.path(), "labels", 3, 10); });
}

TEST_CASE("idx: raw and gzip files give the bytes after the header") {
  const TemporaryFolder folder;
  folder.write("images", image_file());
  folder.write("packed.gz", gzipped(image_file()));
  folder.write("labels.gz", gzipped(label_file()));
  CHECK(read_idx_images(folder.path(), "images", kThree) == followed_by_ramp({}, 24, 100));
  CHECK(read_idx_images(folder.path(), "packed", kThree) == followed_by_ramp({}, 24, 100));
  CHECK(read_idx_labels(folder.path(), "labels", 3, 10) == Bytes{7, 0, 9});
}

TEST_CASE("idx: a wrong header is named with its offset, what was found and what was expected") {
  CHECK_CONTAINS(images_error(label_file()), "images: byte 0: the magic number is 2049, expected 2051");
  Bytes bytes = image_file();
  bytes[7] = 4;
  CHECK_CONTAINS(images_error(bytes), "byte 4: the number of images is 4, expected 3");
  bytes = image_file();
  bytes[11] = 28;
  CHECK_CONTAINS(images_error(bytes), "byte 8: the image height is 28, expected 2");
  bytes = image_file();
  bytes[12] = 255;
  CHECK_CONTAINS(images_error(bytes), "byte 12: the image width is 4278190084, expected 4");
}

TEST_CASE("idx: too short and too long files") {
  Bytes bytes = image_file();
  bytes.resize(10);
  CHECK_CONTAINS(images_error(bytes), "byte 10: the file ends here, expected an IDX header of 16 bytes");
  bytes = image_file();
  bytes.pop_back();
  CHECK_CONTAINS(images_error(bytes), "byte 39: the file ends here, expected 40 bytes");
  bytes = image_file();
  bytes.push_back(0);
  CHECK_CONTAINS(images_error(bytes), "byte 40: the file goes on, expected 40 bytes");
  CHECK_CONTAINS(images_error(gzipped(bytes), "images.gz"), "decompressed byte 40: the file goes on");
  CHECK_CONTAINS(images_error({}), "byte 0: the file ends here");
}

TEST_CASE("idx: labels out of range") {
  Bytes bytes = label_file();
  bytes[9] = 10;
  CHECK_CONTAINS(labels_error(bytes), "byte 9: label 1 is 10, expected 0 to 9");
}

TEST_CASE("idx: truncated, corrupt and prolonged gzip data") {
  const Bytes whole = gzipped(image_file());
  Bytes bytes = whole;
  bytes.resize(bytes.size() - 1);  // within the trailer
  CHECK_CONTAINS(images_error(bytes, "images.gz"),
                 "images.gz: compressed byte " + std::to_string(bytes.size()));
  CHECK_CONTAINS(images_error(bytes, "images.gz"), "truncated");
  bytes.resize(bytes.size() / 2);
  CHECK_CONTAINS(images_error(bytes, "images.gz"), "truncated");
  CHECK_CONTAINS(images_error({}, "images.gz"), "truncated");
  bytes = whole;
  bytes[bytes.size() - 6] ^= 1;  // the checksum
  CHECK_CONTAINS(images_error(bytes, "images.gz"), "corrupt (incorrect data check)");
  CHECK_CONTAINS(images_error(image_file(), "images.gz"), "corrupt (incorrect header check)");
  bytes = whole;
  bytes.push_back(0);
  CHECK_CONTAINS(images_error(bytes, "images.gz"), "1 bytes follow the end of the gzip data");
}

TEST_CASE("idx: a gzip bomb is cut at the expected size") {
  Bytes bytes = image_file();
  bytes.resize(50'000'000);
  const TemporaryFolder folder;
  folder.write("images.gz", gzipped(bytes));
  CHECK_CONTAINS(data_error([&] { read_idx_images(folder.path(), "images", kThree); }), "the file goes on");
}

TEST_CASE("idx: a file that is not there, or is a folder") {
  const TemporaryFolder folder;
  folder.write("images/inside", {1});
  CHECK_CONTAINS(data_error([&] { read_idx_images(folder.path(), "images", kThree); }),
                 "neither images nor images.gz is there");
}

}  // namespace
}  // namespace qtrain::datasets
