#include "kernels/avx512/vectors.hpp"
#include "kernels/bit_planes.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx512 {
namespace {

constexpr size_t kGroup = 64;  ///< codes whose bits of one plane fill a mask

inline __mmask64 first_bits(size_t count) {
  return count < kGroup ? (__mmask64{1} << count) - 1 : ~__mmask64{0};
}

/// Up to 64 bytes; plane(p) has the bits p of their indices.
struct ByteGroup {
  __m512i indices;
  const __m512i* bits;  ///< 1 << (p + step_bits) in every byte
  __mmask64 valid;
  __mmask64 plane(size_t p) const { return _mm512_mask_test_epi8_mask(valid, indices, bits[p]); }
};

struct WholeByteGroup {
  __m512i indices;
  const __m512i* bits;
  __mmask64 plane(size_t p) const { return _mm512_test_epi8_mask(indices, bits[p]); }
};

/// What codes as bytes and as floats share.
struct Indices {
  __m512i lowest;
  __m512i bits[8];
  explicit Indices(const PlaneLayout& l) : lowest(_mm512_set1_epi8(static_cast<char>(l.lowest))) {
    for (size_t p = 0; p < l.planes; ++p)
      bits[p] = _mm512_set1_epi8(static_cast<char>(1 << (p + static_cast<size_t>(l.step_bits))));
  }
  ByteGroup group(__m512i codes, __mmask64 valid) const {
    return {_mm512_sub_epi8(codes, lowest), bits, valid};
  }
};

struct Bytes {
  const unsigned char* codes;
  Indices indices;
  WholeByteGroup load(size_t i) const {
    return {_mm512_sub_epi8(_mm512_loadu_si512(codes + i), indices.lowest), indices.bits};
  }
  ByteGroup load(size_t i, size_t count) const {
    const __mmask64 valid = first_bits(count);
    return indices.group(_mm512_maskz_loadu_epi8(valid, codes + i), valid);
  }
};

/// Sixteen of a group's `count` floats, from the kWidth * quarter-th on.
inline __m512 load_quarter(const float* x, size_t count, size_t quarter) {
  const size_t before = kWidth * quarter;
  return _mm512_maskz_loadu_ps(first_lanes(count > before ? count - before : 0), x + before);
}

struct Floats {
  const float* codes;
  Indices indices;
  ByteGroup load(size_t i) const { return load(i, kGroup); }
  ByteGroup load(size_t i, size_t count) const {
    const auto bytes = [&](size_t quarter) {
      return _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(load_quarter(codes + i, count, quarter)));
    };
    const __m256i low = _mm256_set_m128i(bytes(1), bytes(0)), high = _mm256_set_m128i(bytes(3), bytes(2));
    return indices.group(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1), first_bits(count));
  }
};

struct SignGroup {
  __mmask64 signs;
  __mmask64 plane(size_t /*p*/) const { return signs; }
};

struct Signs {
  const float* x;
  SignGroup load(size_t i) const { return load(i, kGroup); }
  SignGroup load(size_t i, size_t count) const {
    __mmask64 negative = 0;
    for (size_t quarter = 0; quarter < 4; ++quarter) {
      const __m512 values = load_quarter(x + i, count, quarter);
      const __mmask16 below = _mm512_cmp_ps_mask(values, _mm512_setzero_ps(), _CMP_LT_OQ);
      negative |= static_cast<__mmask64>(below) << (kWidth * quarter);
    }
    return {~negative & first_bits(count)};
  }
};

/// A row whose pixels fill one word each, whole groups of them: its bits are one string.
template <class Source>
void pack_string(const PlaneLayout& l, const Source& source, size_t i, unsigned char* row) {
  unsigned char* at = row + l.padding * l.lane_bytes;
  for (const size_t end = i + l.width * l.channels; i < end; i += kGroup, at += kGroup / 8) {
    const auto group = source.load(i);
    for (size_t p = 0; p < l.planes; ++p) {
      const __mmask64 words = group.plane(p);
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
  const __mmask64 middle = __mmask64{0xFFFF} << 16;
  for (const size_t end = i + l.width * l.channels; i < end; i += kGroup, even += 4, odd += 4) {
    const auto group = source.load(i);
    for (size_t p = 0; p < l.planes; ++p) {
      __mmask64 words = group.plane(p);
      if (l.lane_bytes == 2)  // swaps the words in the middle of four
        words = (words & ~(middle | middle << 16)) | (words & middle) << 16 | (words >> 16 & middle);
      const unsigned int halves[2] = {static_cast<unsigned int>(words),
                                      static_cast<unsigned int>(words >> 32)};
      __builtin_memcpy(even + p * l.plane_bytes, halves, 4);
      __builtin_memcpy(odd + p * l.plane_bytes, halves + 1, 4);
    }
  }
}

/// Up to 64 channels of one pixel, in words of 16 or 32 bits.
template <class Lane, class Group>
void store_words(const PlaneLayout& l, const Group& group, size_t count, unsigned char* at) {
  constexpr size_t kBits = 8 * sizeof(Lane);
  for (size_t p = 0; p < l.planes; ++p) {
    __mmask64 bits = group.plane(p);
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
  const bool two_strings = string && l.phases == 2 && (l.padding + l.width - 1) / 2 < l.columns;
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

void pack_bytes(const PlaneLayout& l, const unsigned char* codes, size_t images, unsigned char* planes) {
  pack(l, Bytes{codes, Indices(l)}, images, planes);
}

void pack_floats(const PlaneLayout& l, const float* codes, size_t images, unsigned char* planes) {
  pack(l, Floats{codes, Indices(l)}, images, planes);
}

void pack_signs(const PlaneLayout& l, const float* x, size_t images, unsigned char* planes) {
  pack(l, Signs{x}, images, planes);
}

}  // namespace

void fill_pack_planes(Kernels& set) {
  set.pack_bytes = pack_bytes;
  set.pack_floats = pack_floats;
  set.pack_signs = pack_signs;
}

}  // namespace qtrain::kernels::avx512
