#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "quant/learned.hpp"
#include "spec/reader.hpp"
#include "tensor/shape.hpp"

namespace qtrain::quant {

/// What a hook may know besides its tensor.
struct WeightContext {
  std::uint64_t seed = 0;
  std::uint32_t tensor = 0;     ///< index of the tensor in the model; key for random streams
  std::int64_t step = 0;        ///< optimizer steps done so far, in the stage
  std::int64_t first_step = 0;  ///< those of the stages before
  std::int64_t steps_per_epoch = 1;
  std::int64_t epochs = 1;                    ///< of the whole stage
  double learning_rate = 0;                   ///< of the step under way
  double base_learning_rate = 0;              ///< before the schedule's factor
  bool evaluation = false;                    ///< `used` is not for a training step: it must change no state
  std::span<const float> second_moment = {};  ///< the optimizer's v; empty if it keeps none
  std::int64_t epoch() const { return step / steps_per_epoch; }
  std::int64_t total_step() const { return first_step + step; }  ///< key for random streams
};

/// The tensor a method is made for. Plain row-major layout, output channel first: OIHW or OI; a bias O.
struct WeightTensor {
  std::string name;
  Shape shape;
  std::size_t outputs() const { return static_cast<std::size_t>(shape.at(0)); }
  /// Input channels; 1 of a bias.
  std::size_t inputs() const { return shape.size() > 1 ? static_cast<std::size_t>(shape[1]) : 1; }
};

/// What latent values are.
enum class LatentKind {
  weights,   ///< in the units of w, so that their distance from w* says something
  dual,      ///< in units of their own; the used weights are between levels, and they are what nears w*
  rescaled,  ///< dual, and `settled` does nothing but rescale them as beta grows, which keeps w: so it is
             ///< called for frozen weights too, and averages over steps have no meaning
};

/// Codes are lowest, lowest + step, ... highest.
struct CodeRange {
  int lowest = 0;
  int highest = 0;
  int step = 1;
};

/// How one weight tensor is quantized in training; one object a tensor.
///
///   used     w  = Q(u)            before every forward pass
///   pulled   gu = (dw/du)^T gw    after every backward pass      (default: straight through)
///   settled  u  = S(u)            after every optimizer step     (default: nothing)
///   final    w* = F(u)            at the end, and to evaluate the hard-quantized copy: changes no state
///                                                                (default: used)
///
/// u: latent (stored, optimised), w: used by the layer. All spans are plain layout; no hook allocates per
/// call beyond what it owns.
class WeightMethod {
 public:
  virtual ~WeightMethod() = default;

  /// Latent values a weight (PMF and MD-softmax: one a level), value-major within a weight.
  virtual std::size_t latents_per_weight() const { return 1; }
  virtual LatentKind latent_kind() const { return LatentKind::weights; }
  /// Initial latent for initial weights w (default: copy). Called after `bind`, at the start and whenever
  /// other weights are loaded; may set the learned values that depend on w.
  virtual void initialize(std::span<const float> w, std::span<float> u);

  /// The weights whose `initialize` a next stage starts from; its inverse, so that the same method goes on
  /// with what it had (default: copy, of one latent a weight).
  virtual void carried(std::span<const float> u, const WeightContext& context, std::span<float> w) const;

  virtual void used(std::span<const float> u, const WeightContext& context, std::span<float> w) = 0;
  virtual void pulled(std::span<const float> u, std::span<const float> w, std::span<const float> gw,
                      const WeightContext& context, std::span<float> gu);
  virtual void settled(std::span<float> u, const WeightContext& context);
  virtual void final(std::span<const float> u, const WeightContext& context, std::span<float> w);

  /// Used weights as integers times scales: w[o][...] = scales[o or 0] * codes[o][...]. False when the
  /// current w has no such form (a float stage, levels that are no multiples of one scale); the layer then
  /// runs on w itself. scales has scale_count() entries: 1 (per tensor) or the number of output channels.
  virtual bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const;
  virtual std::size_t scale_count() const { return 1; }
  /// Where the codes lie when `codes` is never false in training; else nothing, and the layer computes in
  /// float.
  virtual std::optional<CodeRange> code_range() const { return {}; }
  /// Bits an exactly quantized weight takes; 32 for float.
  virtual int bits() const = 0;

  virtual std::vector<LearnedParameter> learned() const { return {}; }
  /// Called once: storage of learned(), concatenated, and of its gradients (to be written by pulled()).
  virtual void bind(std::span<float> /*values*/, std::span<float> /*gradients*/) {}
  /// Arrays that must survive a checkpoint besides u and learned values (warm starts, knobs).
  virtual std::vector<std::span<float>> state() { return {}; }
  virtual bool wants_second_moment() const { return false; }
};

/// Makes one method object a tensor; what a method file's reader returns after reading its keys.
using WeightFactory = std::function<std::unique_ptr<WeightMethod>(const WeightTensor&)>;

/// One line of weights/methods.def.
struct WeightEntry {
  const char* name;
  WeightFactory (*read)(spec::Reader& keys);  ///< reads the method's own keys of `quantize.weights`
};
std::span<const WeightEntry> weight_methods();

/// Reads `quantize.weights`: `method` and that method's keys.
struct WeightSpec {
  std::string method = "none";
  WeightFactory make;  ///< never empty after read
  void read(spec::Reader keys);
};

}  // namespace qtrain::quant
