#include "tensor/safetensors.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/random.hpp"
#include "temporary_folder.hpp"

namespace qtrain {
namespace {

SafetensorsFile example() {
  SafetensorsFile file;
  file.metadata = {{"format", "qtrain"}, {"note", "line one\nline \"two\", \u00e4"}};
  const std::vector<float> weights{1.5f,     -0.0f, std::numeric_limits<float>::denorm_min(),
                                   INFINITY, 1e-3f, -7};
  const std::vector<double> scales{0.1, -1e300};
  const std::vector<std::int64_t> counts{std::numeric_limits<std::int64_t>::min(), -1, 42};
  file.tensors.push_back(NamedTensor::of("stem.weight", {3, 1, 2}, weights));
  file.tensors.push_back(NamedTensor::of("scales", {2}, scales));
  file.tensors.push_back(NamedTensor::of("counts", {3}, counts));
  file.tensors.push_back(NamedTensor::of("empty", {0, 4}, std::span<const float>()));
  file.tensors.push_back({"codes", Dtype::u8, {3}, {std::byte{0}, std::byte{127}, std::byte{255}}});
  file.tensors.push_back(NamedTensor::of("step", {}, std::span<const std::int64_t>(&counts[2], 1)));
  return file;
}

/// The bytes of a file with this header and so many zero bytes of data.
std::string file_bytes(const std::string& header, std::size_t data) {
  const std::uint64_t size = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &size, 8);
  return bytes + header + std::string(data, '\0');
}

/// Checks that these bytes are rejected with a sentence that starts with the file's place and holds `part`.
void check_rejected(const std::string& bytes, const std::string& part) {
  const testing::TemporaryFolder folder;
  const auto path = folder / "file.safetensors";
  write_whole(path, bytes);
  CHECK_THROWS_WITH_AS(load_safetensors(path), doctest::Contains((path.string() + ": byte ").c_str()), Error);
  CHECK_THROWS_WITH_AS(load_safetensors(path), doctest::Contains(part.c_str()), Error);
}

void check_header_rejected(const std::string& header, std::size_t data, const std::string& part) {
  check_rejected(file_bytes(header, data), part);
}

}  // namespace

TEST_CASE("what was saved is loaded, bit by bit and in order") {
  const testing::TemporaryFolder folder;
  const SafetensorsFile saved = example();
  save_safetensors(folder / "a.safetensors", saved);
  const SafetensorsFile loaded = load_safetensors(folder / "a.safetensors");
  CHECK(loaded.metadata == saved.metadata);
  REQUIRE(loaded.tensors.size() == saved.tensors.size());
  for (std::size_t i = 0; i < saved.tensors.size(); ++i) {
    CHECK(loaded.tensors[i].name == saved.tensors[i].name);
    CHECK(loaded.tensors[i].dtype == saved.tensors[i].dtype);
    CHECK(loaded.tensors[i].shape == saved.tensors[i].shape);
    CHECK(loaded.tensors[i].bytes == saved.tensors[i].bytes);
  }
  save_safetensors(folder / "b.safetensors", loaded);
  CHECK(read_whole(folder / "a.safetensors") == read_whole(folder / "b.safetensors"));
}

TEST_CASE("a file without tensors is one, too") {
  const testing::TemporaryFolder folder;
  save_safetensors(folder / "none", {});
  CHECK(read_whole(folder / "none") == file_bytes("{}      ", 0));
  CHECK(load_safetensors(folder / "none").tensors.empty());
}

TEST_CASE("the bytes are those of the format: data starts at a multiple of 8") {
  const testing::TemporaryFolder folder;
  SafetensorsFile file;
  const std::vector<float> values{1, 2};
  file.tensors.push_back(NamedTensor::of("w", {2, 1}, values));
  save_safetensors(folder / "w", file);
  const std::string header = R"({"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}})";
  std::string expected = file_bytes(header + std::string((8 - header.size() % 8) % 8, ' '), 8);
  std::memcpy(&expected[expected.size() - 8], values.data(), 8);
  CHECK(read_whole(folder / "w") == expected);
  save_safetensors(folder / "example", example());
  CHECK(read_whole(folder / "example")[0] % 8 == 0);
}

TEST_CASE("values come back in their own type only") {
  const SafetensorsFile file = example();
  CHECK(file.find("scales")->doubles() == std::vector<double>{0.1, -1e300});
  CHECK(file.find("step")->integers() == std::vector<std::int64_t>{42});
  CHECK(file.find("empty")->floats().empty());
  CHECK(std::signbit(file.find("stem.weight")->floats()[1]));
  CHECK(file.find("absent") == nullptr);
  CHECK_THROWS_WITH_AS(file.find("scales")->floats(),
                       doctest::Contains("tensor scales holds F64, must hold F32"), Error);
  CHECK_THROWS_AS(file.find("codes")->integers(), Error);
  CHECK_THROWS_AS(file.find("step")->doubles(), Error);
}

TEST_CASE("a file that could not be read back is not written") {
  const testing::TemporaryFolder folder;
  SafetensorsFile twice = example();
  twice.tensors.push_back(twice.tensors.front());
  CHECK_THROWS_WITH_AS(save_safetensors(folder / "x", twice),
                       doctest::Contains("two tensors are named stem.weight"), Error);
  SafetensorsFile short_of_bytes = example();
  short_of_bytes.tensors[0].bytes.pop_back();
  CHECK_THROWS_AS(save_safetensors(folder / "x", short_of_bytes), Error);
  SafetensorsFile no_text = example();
  no_text.metadata["note"] = "\xff";
  CHECK_THROWS_WITH_AS(save_safetensors(folder / "x", no_text), doctest::Contains("UTF-8"), Error);
  CHECK(!std::filesystem::exists(folder / "x"));
}

TEST_CASE("each damage of the frame is named") {
  check_rejected("", "the file has 0 bytes");
  check_rejected("\1\2\3", "the file has 3 bytes");
  check_rejected(std::string(8, '\xff') + "{}", "18446744073709551615 bytes, only 2 follow");
  check_rejected(std::string(8, '\0'), "must start with '{'");
  check_header_rejected("[]", 0, "must start with '{'");
  check_header_rejected("{", 0, "no JSON");
  check_header_rejected("{\"\xff\": 1}", 0, "no JSON");
  check_header_rejected("{}", 1, "the tensors take 0 bytes of data, the file holds 1");
  check_header_rejected("{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}", 0,
                        "nested deeper");
  check_header_rejected(R"({"__metadata__":{"a":1}})", 0, "__metadata__ 'a' must be a string");
  check_header_rejected(R"({"__metadata__":[]})", 0, "__metadata__ must be an object");
}

TEST_CASE("each damage of a tensor's entry is named") {
  const auto check_entry = [](const char* dtype, const char* shape, const char* offsets, std::size_t data,
                              const std::string& part) {
    check_header_rejected(
        fmt::format(R"({{"w":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape, offsets), data,
        part);
  };
  check_entry(R"("BF16")", "[2]", "[0,4]", 4, "dtype \"BF16\", must be F32");
  check_entry("32", "[2]", "[0,8]", 8, "dtype 32");
  check_entry(R"("F32")", "[-2]", "[0,8]", 8, "has -2 as a size");
  check_entry(R"("F32")", "[2.0]", "[0,8]", 8, "has 2.0 as a size");
  check_entry(R"("F32")", "2", "[0,8]", 8, "must have dtype, shape");
  check_entry(R"("F32")", "[2]", "[0,8,8]", 8, "two data_offsets");
  check_entry(R"("F32")", "[2]", "[8,0]", 8, "F32 of shape [2] takes 8 bytes");
  check_entry(R"("F32")", "[3]", "[0,8]", 8, "takes 12 bytes");
  check_entry(R"("F32")", "[2]", "[0,8]", 7, "take 8 bytes of data, the file holds 7");
  check_entry(R"("F32")", "[2]", "[8,16]", 16, "starts at data offset 8, must start at 0");
  check_entry(R"("F32")", "[4294967296,4294967296]", "[0,0]", 0, "impossible shape");
  check_entry(R"("U8")", "[9223372036854775807]", "[0,9223372036854775807]", 0,
              "take 9223372036854775807 bytes");
  check_entry(R"("U8")", "[18446744073709551615]", "[0,1]", 1, "as a size");
}

TEST_CASE("incomplete, overlapping and repeated entries are named") {
  check_header_rejected(R"({"w":3})", 0, "tensor 'w' must have dtype");
  check_header_rejected(R"({"w":{"dtype":"F32","shape":[1]}})", 4, "must have dtype");
  const std::string one = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  check_header_rejected(R"({"a":)" + one + R"(,"b":)" + one + "}", 1, "must start at 1");
  check_header_rejected(R"({"a":)" + one + R"(,"a":)" + one + "}", 1, "key \"a\" twice");
}

// Whatever the bytes, the answer is a file or an Error (data), and no allocation exceeds what the file can
// hold.
TEST_CASE("2000 mutated and truncated files are loaded or rejected") {
  const testing::TemporaryFolder folder;
  const auto path = folder / "fuzzed.safetensors";
  save_safetensors(path, example());
  const std::string valid = read_whole(path);
  RandomStream random(7, Purpose::test);
  const auto position = [&](std::size_t size) { return random.below(static_cast<std::uint32_t>(size)); };
  const std::string alphabet = "0123456789-.[]{},:\"\\eEFIU \n";
  int loaded = 0;
  int rejected = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = valid;
    for (std::uint32_t change = position(4); change < 4; ++change) {
      if (random.below(2) == 0)
        bytes[position(bytes.size())] = static_cast<char>(random.bits());
      else
        bytes[position(bytes.size())] = alphabet[position(alphabet.size())];
    }
    if (random.below(4) == 0) bytes.resize(position(bytes.size()));
    if (random.below(8) == 0)
      bytes.insert(position(bytes.size() + 1), valid, position(valid.size()), position(64));
    std::filesystem::remove(path);  // some file systems flush a file that is truncated and written again
    std::ofstream(path, std::ios::binary) << bytes;
    try {
      std::size_t held = 0;
      for (const NamedTensor& tensor : load_safetensors(path).tensors) {
        REQUIRE(tensor.bytes.size() == element_count(tensor.shape) * byte_size(tensor.dtype));
        held += tensor.bytes.size();
      }
      REQUIRE(held < bytes.size());
      ++loaded;
    } catch (const Error& error) {
      REQUIRE(error.code() == ExitCode::data);
      ++rejected;
    }
  }
  CHECK(loaded > 100);  // changes within the data
  CHECK(rejected > 1000);
}

}  // namespace qtrain
