#pragma once
#include <stddef.h>

#include "kernels/bit_planes.hpp"

// What the packing of bit planes in avx2/ and avx512/ shares, for their sources alone: where the bits of a
// group of 64 codes go. Everything has internal linkage, so no code compiled there can serve a caller
// elsewhere.
//
// A Source has load(i), a group of codes from the i-th on, and load(i, count), one of the first `count`
// alone; a group's plane(p) has the bits p of their indices, 0 beyond them. split(first, second, lane_bytes)
// makes groups of the words, of a bit for each code, that are first, third, ... and second, fourth, ... in
// two groups.

namespace qtrain::kernels {
namespace {

using GroupBits = unsigned long long;

constexpr size_t kGroup = 64;  ///< codes whose bits of one plane fill a GroupBits

template <class Group>
struct Phases {
  Group even, odd;
};

inline GroupBits first_bits(size_t count) {
  return count < kGroup ? (GroupBits{1} << count) - 1 : ~GroupBits{0};
}

/// A row whose pixels fill one word each, whole groups of them: its bits are one string.
template <class Source>
void pack_string(const PlaneLayout& l, const Source& source, size_t i, unsigned char* row) {
  unsigned char* at = row + l.padding * l.lane_bytes;
  for (const size_t end = i + l.width * l.channels; i < end; i += kGroup, at += kGroup / 8) {
    const auto group = source.load(i);
    for (size_t p = 0; p < l.planes; ++p) {
      const GroupBits words = group.plane(p);
      __builtin_memcpy(at + p * l.plane_bytes, &words, sizeof words);
    }
  }
}

/// The same where every second pixel belongs to the other of two phases.
template <class Source>
void pack_two_strings(const PlaneLayout& l, const Source& source, size_t i, unsigned char* row) {
  const size_t phase_bytes = l.columns * l.lane_bytes;
  unsigned char* even = row + l.padding % 2 * phase_bytes + l.padding / 2 * l.lane_bytes;
  unsigned char* odd = row + (l.padding + 1) % 2 * phase_bytes + (l.padding + 1) / 2 * l.lane_bytes;
  for (const size_t end = i + l.width * l.channels; i < end; i += 2 * kGroup) {
    const auto groups = split(source.load(i), source.load(i + kGroup), l.lane_bytes);
    for (size_t p = 0; p < l.planes; ++p) {
      const GroupBits words[2] = {groups.even.plane(p), groups.odd.plane(p)};
      __builtin_memcpy(even + p * l.plane_bytes, words, kGroup / 8);
      __builtin_memcpy(odd + p * l.plane_bytes, words + 1, kGroup / 8);
    }
    even += kGroup / 8;
    odd += kGroup / 8;
  }
}

/// Up to 64 channels of one pixel, in words of 16 or 32 bits.
template <class Lane, class Group>
void store_words(const PlaneLayout& l, const Group& group, size_t count, unsigned char* at) {
  constexpr size_t kBits = 8 * sizeof(Lane);
  for (size_t p = 0; p < l.planes; ++p) {
    GroupBits bits = group.plane(p);
    unsigned char* to = at + p * l.plane_bytes;
    for (size_t done = 0; done < count; done += kBits) {
      const Lane word = static_cast<Lane>(bits);
      __builtin_memcpy(to, &word, sizeof word);
      bits >>= kBits;
      to += l.columns * sizeof(Lane);
    }
  }
}

template <class Lane, class Source>
void pack_pixels(const PlaneLayout& l, const Source& source, size_t i, unsigned char* row) {
  const size_t word_bytes = l.columns * sizeof(Lane);
  for (size_t x = l.padding; x < l.width + l.padding; ++x, i += l.channels) {
    const size_t phase = x % l.stride, column = x / l.stride;
    if (phase >= l.phases || column >= l.columns) continue;
    unsigned char* at = row + phase * l.words * word_bytes + column * sizeof(Lane);
    for (size_t channel = 0; channel < l.channels; channel += kGroup) {
      const size_t count = l.channels - channel < kGroup ? l.channels - channel : kGroup;
      store_words<Lane>(l, source.load(i + channel, count), count, at);
      at += kGroup / (8 * sizeof(Lane)) * word_bytes;
    }
  }
}

template <class Source>
void pack(const PlaneLayout& l, const Source& source, size_t images, unsigned char* planes) {
  __builtin_memset(planes, 0, images * l.image_bytes);
  const bool string = l.channels == 8 * l.lane_bytes && l.width * l.channels % kGroup == 0;
  // Not where pixels at the end of a row are stored nowhere.
  const bool two_strings = string && l.phases == 2 && l.width * l.channels % (2 * kGroup) == 0 &&
                           (l.padding + l.width - 1) / 2 < l.columns;
  for (size_t image = 0; image < images; ++image)
    for (size_t y = 0; y < l.height && y + l.padding < l.rows; ++y) {
      if ((y + l.padding) % l.stride >= l.kernel) continue;
      unsigned char* row = planes + image * l.image_bytes + (y + l.padding) * l.row_bytes;
      const size_t i = (image * l.height + y) * l.width * l.channels;
      if (string && l.stride == 1)
        pack_string(l, source, i, row);
      else if (two_strings && l.stride == 2)
        pack_two_strings(l, source, i, row);
      else if (l.lane_bytes == 2)
        pack_pixels<unsigned short>(l, source, i, row);
      else
        pack_pixels<unsigned int>(l, source, i, row);
    }
}

}  // namespace
}  // namespace qtrain::kernels
