#pragma once
#include <span>
#include <string>
#include <vector>

#include "quant/alternating_codes.hpp"
#include "quant/weight_groups.hpp"

namespace qtrain::quant {

/// The keys that prox_quant and lazy_prox share.
struct ProxOptions {
  std::string levels = "binary";
  int bits = 0;  ///< of multi_bit levels; of others not given
  std::string regularizer = "l1";
  double rate = 1e-4;
  std::string homotopy = "epoch";
  std::string convention = "once";
  int rounds = 2;
  double clip = 1;

  void read(spec::Reader& keys);
  /// lambda_t = rate t, t counting epochs or steps from 0; rate for a constant one.
  double lambda(const WeightContext& context) const;
  /// u = min(max(u, -clip), clip); nothing if clip is 0.
  void clip_to_box(std::span<float> u) const;

 private:
  void check(spec::Reader& keys) const;
};

/// Quantized points of one tensor and the prox of the distance R to them.
class QuantizationProx {
 public:
  QuantizationProx(const ProxOptions& options, const WeightTensor& tensor);
  /// x = prox_{kappa R}(x), in place.
  void prox(std::span<float> x, double kappa);
  /// q = the quantized point that belongs to u. May be in place.
  void quantize(std::span<const float> u, std::span<float> q);
  /// Whether u has no more values, in each group, than there are levels: quantized points do, averages of
  /// several not.
  bool is_quantized(std::span<const float> u) const;
  /// 1, but for multi_bit one an output channel.
  std::size_t groups() const { return groups_.count; }
  /// Bits a quantized weight takes.
  int bits() const;

 private:
  ProxOptions options_;
  WeightGroups groups_;
  std::vector<float> start_, nearest_;
};

}  // namespace qtrain::quant
