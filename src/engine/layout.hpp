#pragma once
#include <cstddef>

namespace qtrain::engine {

/// How one value of a tensor is stored.
enum class Storage { float32, bfloat16, unsigned_byte, signed_byte, signed_short };
constexpr std::size_t kStorages = 5;
constexpr std::size_t size_of(Storage storage) {
  if (storage == Storage::float32) return 4;
  return storage == Storage::bfloat16 || storage == Storage::signed_short ? 2 : 1;
}

/// The byte storage of codes from `lowest` on.
constexpr Storage bytes_for(int lowest) { return lowest < 0 ? Storage::signed_byte : Storage::unsigned_byte; }

/// How the values of one shard's tensor lie in memory: images x blocks x pixels x lanes, lanes fastest;
/// channel c = block * lanes + lane. nhwc is one block of `channels` lanes, nchw `channels` blocks of one
/// lane; a matrix [images][features] is one block of one pixel. There is no padding.
struct Layout {
  std::size_t images = 0;
  std::size_t channels = 0;
  std::size_t blocks = 0;
  std::size_t pixels = 0;
  std::size_t lanes = 0;

  std::size_t size() const { return images * blocks * pixels * lanes; }
  std::size_t index(std::size_t image, std::size_t channel, std::size_t pixel) const {
    return ((image * blocks + channel / lanes) * pixels + pixel) * lanes + channel % lanes;
  }
  bool operator==(const Layout&) const = default;
};

}  // namespace qtrain::engine
