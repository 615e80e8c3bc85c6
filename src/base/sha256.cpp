#include "base/sha256.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace qtrain {
namespace {

// FIPS 180-4, section 4.2.2: first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr std::array<std::uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

std::uint32_t big_endian(const std::uint8_t* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

// FIPS 180-4, section 6.2.2: the next message word, w[t] = s1(w[t-2]) + w[t-7] + s0(w[t-15]) + w[t-16], where
// `w` keeps the last 16 words.
std::uint32_t next_word(std::array<std::uint32_t, 16>& w, unsigned t) {
  const std::uint32_t x = w[(t + 1) % 16], y = w[(t + 14) % 16];
  const std::uint32_t s0 = std::rotr(x, 7) ^ std::rotr(x, 18) ^ (x >> 3);
  const std::uint32_t s1 = std::rotr(y, 17) ^ std::rotr(y, 19) ^ (y >> 10);
  return w[t % 16] += s1 + w[(t + 9) % 16] + s0;
}

}  // namespace

Sha256::Sha256()
    : state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19} {
}

void Sha256::compress(const std::uint8_t* blocks, std::size_t count) {
  for (; count > 0; --count, blocks += kBlock) {
    std::array<std::uint32_t, 16> w;
    for (unsigned t = 0; t < 16; ++t) w[t] = big_endian(blocks + 4 * t);
    auto [a, b, c, d, e, f, g, h] = state_;
    for (unsigned t = 0; t < 64; ++t) {
      const std::uint32_t word = t < 16 ? w[t] : next_word(w, t);
      const std::uint32_t sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
      const std::uint32_t choice = g ^ (e & (f ^ g));
      const std::uint32_t t1 = h + sum1 + choice + kRound[t] + word;
      const std::uint32_t sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
      const std::uint32_t majority = (a & b) | (c & (a | b));
      h = g, g = f, f = e, e = d + t1;
      d = c, c = b, b = a, a = t1 + sum0 + majority;
    }
    const std::array<std::uint32_t, 8> mixed = {a, b, c, d, e, f, g, h};
    for (unsigned i = 0; i < 8; ++i) state_[i] += mixed[i];
  }
}

void Sha256::update(std::span<const std::uint8_t> bytes) {
  const std::size_t waiting = length_ % kBlock;
  length_ += bytes.size();
  if (waiting > 0) {
    const std::size_t taken = std::min(kBlock - waiting, bytes.size());
    std::copy_n(bytes.data(), taken, pending_.data() + waiting);
    bytes = bytes.subspan(taken);
    if (waiting + taken < kBlock) return;
    compress(pending_.data(), 1);
  }
  compress(bytes.data(), bytes.size() / kBlock);
  const auto rest = bytes.last(bytes.size() % kBlock);
  std::copy(rest.begin(), rest.end(), pending_.begin());
}

std::string Sha256::hex() {
  const std::uint64_t bits = length_ * 8;
  const std::size_t zeros = (2 * kBlock - 9 - length_ % kBlock) % kBlock;
  std::array<std::uint8_t, kBlock + 8> padding{0x80};
  for (unsigned i = 0; i < 8; ++i) padding[1 + zeros + i] = static_cast<std::uint8_t>(bits >> (56 - 8 * i));
  update(std::span(padding).first(9 + zeros));
  std::string digits;
  for (const std::uint32_t word : state_) digits += fmt::format("{:08x}", word);
  return digits;
}

}  // namespace qtrain
