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

/// What a worker's message of one tensor depends on besides its gradient.
struct EncodeContext {
  float scale = 0;            ///< scale(g), or the largest of all workers'
  double learning_rate = 0;   ///< of the step under way
  std::span<float> memory{};  ///< the worker's own for this tensor, memory_size() long
};

/// How the gradient of one tensor travels from a worker: packed into a message, read back from it, and made
/// one of all workers'. Stateless; what a worker remembers lies in EncodeContext::memory.
class GradientQuantizer {
 public:
  virtual ~GradientQuantizer() = default;
  /// Bytes of the message for `size` values.
  virtual std::size_t message_bytes(std::size_t size) const = 0;
  /// Values that a worker keeps of a tensor from step to step, zeros at the start.
  virtual std::size_t memory_size(std::size_t /*size*/) const { return 0; }
  /// The scale of a message for g, when it has one. Workers whose messages must share it take the largest.
  virtual float scale(std::span<const float> /*g*/) const { return 0; }
  virtual bool shares_scale() const { return false; }
  /// Writes the message, message_bytes(g.size()) long.
  virtual void encode(std::span<const float> g, const EncodeContext& context, RandomStream& random,
                      std::span<std::byte> message) const = 0;
  virtual void decode(std::span<const std::byte> message, std::span<float> g) const = 0;
  /// Turns the weighted sum of all workers' decoded messages into the gradient of the step; `weight` is the
  /// sum of their weights. Default: the mean.
  virtual void combine(std::span<float> sum, float weight) const;
};

/// Quantizes the gradient of one sample with respect to the output of a layer whose weights are quantized,
/// before it goes on to the layer's weights and input. Stateless.
class PropagatedQuantizer {
 public:
  virtual ~PropagatedQuantizer() = default;
  virtual void quantize(std::span<float> diff, RandomStream& random) const = 0;
};

using GradientFactory = std::function<std::unique_ptr<GradientQuantizer>()>;
using PropagatedFactory = std::function<std::unique_ptr<PropagatedQuantizer>()>;

/// What a method's reader makes: one of the two.
struct GradientMethod {
  GradientFactory exchanged{};     ///< quantizes gradients of weights as they leave a worker
  PropagatedFactory propagated{};  ///< quantizes gradients of activations within the backward pass
  bool is_step = false;  ///< exchanged; right only if the optimizer moves by -learning_rate times it
};

/// One line of gradients/methods.def.
struct GradientEntry {
  const char* name;
  GradientMethod (*read)(spec::Reader& keys);  ///< reads the method's own keys of `quantize.gradients`
};
std::span<const GradientEntry> gradient_methods();  ///< without `none`

/// Reads `quantize.gradients`: `method`, what is left in float, and that method's keys.
struct GradientSpec {
  std::string method = "none";
  double clip = 0;      ///< in standard deviations of the tensor's gradient; 0: none
  bool biases = false;  ///< quantize those of biases, too
  int smallest = 1;     ///< tensors with fewer values travel as floats
  bool decay = false;   ///< weight decay is part of what is quantized
  GradientMethod make;  ///< empty for `none`
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

/// Numbers of up to 32 bits, one after the other from the lowest bit of each byte up. Each is in the bytes as
/// soon as it is put.
class BitWriter {
 public:
  explicit BitWriter(std::span<std::byte> bytes);
  void put(std::uint32_t value, int width);

 private:
  std::span<std::byte> bytes_;
  std::size_t byte_ = 0;
  std::uint64_t pending_ = 0;
  int count_ = 0;  ///< bits of pending_
};
class BitReader {
 public:
  explicit BitReader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::uint32_t get(int width);

 private:
  std::span<const std::byte> bytes_;
  std::size_t byte_ = 0;
  std::uint64_t pending_ = 0;
  int count_ = 0;
};
/// Bytes that `count` numbers of `width` bits take.
std::size_t packed_bytes(std::size_t count, int width);

/// Writes sign and stochastic level of each value, `width` bits each, sign highest; all zero for scale 0.
void put_levels(std::span<const float> g, float scale, int top, int width, RandomStream& random,
                BitWriter& out);
/// g_i = sign level / top * scale.
void get_levels(BitReader& in, float scale, int top, int width, std::span<float> g);

/// One bit a value: 1 for g_i >= 0.
void put_signs(std::span<const float> g, std::span<std::byte> bits);
/// g_i = +-scale.
void get_signs(std::span<const std::byte> bits, float scale, std::span<float> g);

/// A scale at the head of a message.
void put_scale(float scale, std::span<std::byte> message);
float get_scale(std::span<const std::byte> message);

}  // namespace qtrain::quant
