#include "base/sha256.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace qtrain {
namespace {

std::vector<std::uint8_t> bytes(std::string_view text) { return {text.begin(), text.end()}; }

std::string digest(std::string_view text) {
  Sha256 hash;
  hash.update(bytes(text));
  return hash.hex();
}

TEST_CASE("sha256: the vectors of FIPS 180-4 and of NIST's example file") {
  CHECK(digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(digest(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256: any cut of the same bytes gives the same digest, around each padding length") {
  for (const std::size_t size : {1u, 54u, 55u, 56u, 57u, 63u, 64u, 65u, 119u, 120u, 128u, 200u}) {
    std::string text(size, 'x');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
    for (std::size_t cut = 0; cut <= size; ++cut) {
      Sha256 hash;
      hash.update(bytes(text.substr(0, cut)));
      hash.update(bytes(text.substr(cut)));
      REQUIRE(hash.hex() == digest(text));
    }
  }
}

TEST_CASE("sha256: 55, 56 and 64 bytes, the edges of the padding") {
  CHECK(digest(std::string(55, 'a')) == "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  CHECK(digest(std::string(56, 'a')) == "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
  CHECK(digest(std::string(64, 'a')) == "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
}

}  // namespace
}  // namespace qtrain
