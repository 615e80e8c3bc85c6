#include "spec/utf8.hpp"

namespace qtrain::spec {
namespace {

/// Bytes of the sequence that `lead` starts, and the range its second byte must lie in; length 0: no lead
/// byte.
struct Sequence {
  std::size_t length;
  unsigned char low;
  unsigned char high;
};

Sequence sequence(unsigned char lead) {
  if (lead < 0x20) return {lead == '\t' || lead == '\n' || lead == '\r' ? 1U : 0U, 0, 0};
  if (lead < 0x7f) return {1, 0, 0};
  if (lead < 0xc2) return {0, 0, 0};
  if (lead < 0xe0) return {2, 0x80, 0xbf};
  if (lead == 0xe0) return {3, 0xa0, 0xbf};  // no overlong forms
  if (lead == 0xed) return {3, 0x80, 0x9f};  // no surrogates
  if (lead < 0xf0) return {3, 0x80, 0xbf};
  if (lead == 0xf0) return {4, 0x90, 0xbf};
  if (lead < 0xf4) return {4, 0x80, 0xbf};
  if (lead == 0xf4) return {4, 0x80, 0x8f};  // up to U+10FFFF
  return {0, 0, 0};
}

}  // namespace

std::size_t first_non_text(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  std::size_t i = 0;
  while (i < text.size()) {
    const Sequence expected = sequence(byte(i));
    if (expected.length == 0 || expected.length > text.size() - i) return i;
    if (expected.length > 1 && (byte(i + 1) < expected.low || byte(i + 1) > expected.high)) return i;
    for (std::size_t k = 2; k < expected.length; ++k)
      if ((byte(i + k) & 0xc0) != 0x80) return i;
    i += expected.length;
  }
  return text.size();
}

}  // namespace qtrain::spec
