#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

struct evp_md_ctx_st;

namespace qtrain {

/// SHA-256 (FIPS 180-4), by OpenSSL, of bytes that arrive piece by piece: `update` any number of times, then
/// `hex` once.
class Sha256 {
 public:
  Sha256();  ///< throws std::bad_alloc where OpenSSL cannot provide it
  void update(std::span<const std::uint8_t> bytes);
  /// The digest of all bytes given: 64 lower-case hex digits. Nothing may be added after it.
  std::string hex();

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

}  // namespace qtrain
