#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace qtrain {

/// SHA-256 (FIPS 180-4) of bytes that arrive piece by piece: `update` any number of times, then `hex` once.
class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::uint8_t> bytes);
  std::string
  hex();  ///< the digest of all bytes given: 64 lower-case hex digits; nothing may be added after it

 private:
  static constexpr std::size_t kBlock = 64;
  void compress(const std::uint8_t* blocks, std::size_t count);

  std::array<std::uint32_t, 8> state_;
  std::array<std::uint8_t, kBlock> pending_{};  ///< first `length_ % kBlock` bytes wait for a whole block
  std::uint64_t length_ = 0;                    ///< bytes given so far
};

}  // namespace qtrain
