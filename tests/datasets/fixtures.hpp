#pragma once
#include <doctest/doctest.h>
#include <stdlib.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "temporary_folder.hpp"

namespace qtrain::datasets {

using Bytes = std::vector<std::uint8_t>;

/// A temporary folder that files can be written into.
class TemporaryFolder : public testing::TemporaryFolder {
 public:
  void write(const std::string& name, const Bytes& bytes) const {
    const std::filesystem::path file = path() / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream stream(file, std::ios::binary);
    stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    REQUIRE(stream.flush().good());
  }
};

/// Sets an environment variable (unsets it, given nullptr) and restores it at the end.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old, had_ = true;
    value == nullptr ? unsetenv(name) : setenv(name, value, 1);
  }
  ~Environment() { had_ ? setenv(name_, old_.c_str(), 1) : unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  std::string old_;
  bool had_ = false;
};

inline Bytes gzipped(const Bytes& bytes) {
  Bytes out(bytes.size() + 1000);
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// The big-endian 32-bit numbers of an IDX header.
inline Bytes idx_header(std::initializer_list<std::uint32_t> numbers) {
  Bytes bytes;
  for (const std::uint32_t number : numbers)
    for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(number >> shift));
  return bytes;
}

/// Bytes first, first + 1, ... (mod 256), appended.
inline Bytes followed_by_ramp(Bytes bytes, std::size_t count, unsigned first = 0) {
  for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(first + i));
  return bytes;
}

/// The sentence of the data error that `work` must throw.
template <class Work>
std::string data_error(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::data);
    return error.what();
  }
  FAIL("no error was thrown");
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace qtrain::datasets

/// The text contains the part; on failure both are shown.
#define CHECK_CONTAINS(text, part)                   \
  do {                                               \
    INFO("text: ", (text), " part: ", (part));       \
    CHECK(::qtrain::datasets::contains(text, part)); \
  } while (false)
