#pragma once
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

/// Where an activation quantizer saturates, in units of x, and how steeply its output rises between on
/// average; what a surrogate derivative may depend on.
struct ActivationRange {
  float low = 0;
  float high = 0;
  float slope = 1;
};

/// The layer an activation quantizer is made for.
struct ActivationTensor {
  std::string name;
  Shape shape;  ///< of one image: C, H, W or F
};

/// What a quantizer may set its start from: the values x of the layer over the first batch.
struct ActivationStatistics {
  double mean_positive = 0;  ///< mean of max(x, 0)
  float largest = 0;         ///< max x
};

/// Forward half of a quantized activation; one object a layer. value = scale() * code, codes are integers.
class ActivationQuantizer {
 public:
  virtual ~ActivationQuantizer() = default;
  /// codes[i] of x[i]; sizes equal; the spans may be the same memory. Called from several threads.
  virtual void forward(std::span<const float> x, std::span<float> codes) const = 0;
  virtual float scale() const = 0;
  virtual ActivationRange range() const = 0;
  virtual int lowest_code() const = 0;
  virtual int highest_code() const = 0;
  /// Whether codes are those of Kernels::ceil_codes, with step scale(), always within 2^-100 and 2^100, and
  /// top highest_code(), at most 255: passes that make x then make its codes as well.
  virtual bool is_ceiling() const { return false; }
  /// Number of different codes.
  virtual int levels() const { return highest_code() - lowest_code() + 1; }

  virtual std::vector<LearnedParameter> learned() const { return {}; }
  /// Called once with the storage of learned(), concatenated.
  virtual void bind(std::span<const float> /*values*/) {}
  /// Whether the learned values start from data: then `start` gives them before the first step, unless they
  /// were loaded with the weights.
  virtual bool starts_from_data() const { return false; }
  virtual std::vector<float> start(const ActivationStatistics& /*statistics*/) const { return {}; }
  /// Adds to gradients[k] the sum over i of gy[i] * d value(x[i]) / d learned[k]. Called from several
  /// threads, each with its own gradients.
  virtual void learned_gradient(std::span<const float> /*x*/, std::span<const float> /*gy*/,
                                std::span<double> /*gradients*/) const {}
};

/// Backward half: a straight-through estimator, the derivative mu'(x) used in place of the quantizer's.
class Ste {
 public:
  virtual ~Ste() = default;
  /// g[i] *= mu'(x[i]); sizes equal. Called from several threads.
  virtual void multiply(std::span<const float> x, const ActivationRange& range, std::span<float> g) const = 0;
  /// Where mu' is 0 outside (low, high] and `slope` inside, these: passes that make x then multiply as well.
  virtual std::optional<ActivationRange> window(const ActivationRange& /*range*/) const { return {}; }
};

using ActivationFactory = std::function<std::unique_ptr<ActivationQuantizer>(const ActivationTensor&)>;
using SteFactory = std::function<std::unique_ptr<Ste>()>;

/// Where an STE's mu' is not 0.
enum class SteSupport {
  everywhere,  ///< a constant: the gradient passes as it is
  above,       ///< above the low end of the quantizer's range
  range,       ///< within that range, a constant
  around,      ///< on both sides of 0, symmetric: for a single step there
};

struct ActivationEntry {
  const char* name;
  int most_bits;
  const char* ste;                                          ///< what a spec without `ste` means
  ActivationFactory (*read)(spec::Reader& keys, int bits);  ///< reads its own keys of `quantize.activations`
  /// "" if the pair makes sense, else why not ("sign has no ...").
  std::string (*refuses)(const std::string& ste);
};
struct SteEntry {
  const char* name;
  SteSupport support;
  SteFactory (*read)(spec::Reader& keys);
};
std::span<const ActivationEntry> activation_quantizers();  ///< without `none`
std::span<const SteEntry> stes();

/// Reads `quantize.activations`: quantizer (`none`: plain ReLU, without the others), bits, ste, and the
/// quantizer's own keys.
struct ActivationSpec {
  std::string quantizer = "none";
  int bits = 4;
  std::string ste = "clipped_relu";
  ActivationFactory make;  ///< empty for `none`
  SteFactory make_ste;     ///< empty for `none`
  void read(spec::Reader keys);
};

}  // namespace qtrain::quant
