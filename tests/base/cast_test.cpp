#include "base/cast.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "base/aligned.hpp"

namespace qtrain {

TEST_CASE("narrow keeps a value that fits and refuses any other") {
  CHECK(narrow<std::uint8_t>(255) == 255);
  CHECK(narrow<int>(std::int64_t{-5}) == -5);
  CHECK(narrow<std::int64_t>(std::size_t{7}) == 7);
  CHECK_THROWS_AS(narrow<std::uint8_t>(256), Error);
  CHECK_THROWS_AS(narrow<std::uint32_t>(-1), Error);
  CHECK_THROWS_AS(narrow<std::int64_t>(std::numeric_limits<std::uint64_t>::max()), Error);
}

TEST_CASE("an Error carries its exit code and sentence") {
  try {
    fail(ExitCode::data, "{}: byte {}", "a.bin", 16);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::data);
    CHECK(error.what() == std::string("a.bin: byte 16"));
  }
}

TEST_CASE("an AlignedBuffer starts at a cache line and holds zeros") {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{4097}}) {
    AlignedBuffer<float> buffer(size);
    CHECK(buffer.size() == size);
    CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
    for (const float value : buffer.span()) REQUIRE(value == 0.0f);
  }
}

}  // namespace qtrain
