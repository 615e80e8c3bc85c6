#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/random.hpp"
#include "spec/reader.hpp"

namespace qtrain::quant {

/// How the gradient of one tensor travels: packed into a message, and read back from it. Stateless.
class GradientQuantizer {
 public:
  virtual ~GradientQuantizer() = default;
  /// Bytes of the message for `size` values.
  virtual std::size_t message_bytes(std::size_t size) const = 0;
  /// The scale of a message for g, when it has one. Workers whose messages must share it take the largest.
  virtual float scale(std::span<const float> g) const = 0;
  virtual bool shares_scale() const { return false; }
  /// Writes the message, message_bytes(g.size()) long; `scale` is scale(g), or the shared one.
  virtual void encode(std::span<const float> g, float scale, RandomStream& random,
                      std::span<std::byte> message) const = 0;
  virtual void decode(std::span<const std::byte> message, std::span<float> g) const = 0;
};

using GradientFactory = std::function<std::unique_ptr<GradientQuantizer>()>;

/// One line of gradients/methods.def.
struct GradientEntry {
  const char* name;
  GradientFactory (*read)(spec::Reader& keys);  ///< reads the method's own keys of `quantize.gradients`
};
std::span<const GradientEntry> gradient_methods();  ///< without `none`

/// Reads `quantize.gradients`: `method`, `clip` and that method's keys.
struct GradientSpec {
  std::string method = "none";
  double clip = 0;       ///< in standard deviations of the tensor's gradient; 0: none
  GradientFactory make;  ///< empty for `none`
  void read(spec::Reader keys);
};

/// g_i = sign(g_i) min(|g_i|, c sigma), sigma the standard deviation of g about its mean (Wen et al.,
/// "TernGrad", NeurIPS 2017, arXiv:1705.07878). Nothing for c = 0.
void clip_gradient(double c, std::span<float> g);

/// max |g_i|, 0 for no values.
float largest_gradient(std::span<const float> g);

/// Stochastic rounding of a magnitude onto the levels 0, 1, ..., top: at(x) is `below` + 1 with probability
/// `up`, else `below`; x is |g| / scale * top, cut to [0, top]. The mean is x. For x = top, `below` is top
/// - 1.
struct StochasticLevel {
  int below = 0;
  double up = 0;
};
StochasticLevel stochastic_level(float g, float scale, int top);

/// Numbers of a fixed width, one after the other from the lowest bit of each byte up.
class BitWriter {
 public:
  explicit BitWriter(std::span<std::byte> bytes);
  void put(std::uint32_t value, int width);

 private:
  std::span<std::byte> bytes_;
  std::size_t bit_ = 0;
};
class BitReader {
 public:
  explicit BitReader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::uint32_t get(int width);

 private:
  std::span<const std::byte> bytes_;
  std::size_t bit_ = 0;
};
/// Bytes that `count` numbers of `width` bits take.
std::size_t packed_bytes(std::size_t count, int width);

/// Writes sign and stochastic level of each value, `width` bits each, sign highest; all zero for scale 0.
void put_levels(std::span<const float> g, float scale, int top, int width, RandomStream& random,
                BitWriter& out);
/// g_i = sign level / top * scale.
void get_levels(BitReader& in, float scale, int top, int width, std::span<float> g);

/// A scale at the head of a message.
void put_scale(float scale, std::span<std::byte> message);
float get_scale(std::span<const std::byte> message);

}  // namespace qtrain::quant
