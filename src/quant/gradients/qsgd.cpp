// QSGD: Alistarh, Grubic, Li, Tomioka, Vojnovic, "QSGD: Communication-Efficient SGD via Gradient Quantization
// and Encoding", NeurIPS 2017 (arXiv:1610.02132).
//
//   g~_i = ||g|| sign(g_i) l / s     l in {0..s} is one of the two levels around s |g_i| / ||g||, drawn so
//   that
//                                    the mean of g~ is g
//   g: `bucket` values that follow each other; ||g||: norm l2, or the largest magnitude (norm max)
//   message: of each bucket the norm as a float, then sign and l of each value in 1 + ceil(log2(s + 1)) bits
//
// The paper's Elias coding of the levels is left out: messages have a fixed length. A bucket of zeros stays
// zero.
#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/gradient.hpp"

namespace qtrain::quant::gradients {
namespace {

class Qsgd final : public GradientQuantizer {
 public:
  Qsgd(int levels, std::size_t bucket, bool largest)
      : levels_(levels),
        bits_(1 + static_cast<int>(std::bit_width(static_cast<unsigned>(levels)))),
        bucket_(bucket),
        largest_(largest) {}

  std::size_t message_bytes(std::size_t size) const override {
    const std::size_t rest = size % bucket_;
    return size / bucket_ * bytes_of(bucket_) + (rest > 0 ? bytes_of(rest) : 0);
  }
  void encode(std::span<const float> g, const EncodeContext& /*context*/, RandomStream& random,
              std::span<std::byte> message) const override {
    for (; !g.empty(); g = g.subspan(std::min(bucket_, g.size()))) {
      const std::span<const float> part = g.first(std::min(bucket_, g.size()));
      const std::size_t bytes = bytes_of(part.size());
      put_scale(norm(part), message);
      BitWriter out(message.subspan(sizeof(float), bytes - sizeof(float)));
      put_levels(part, norm(part), levels_, bits_, random, out);
      message = message.subspan(bytes);
    }
  }
  void decode(std::span<const std::byte> message, std::span<float> g) const override {
    for (; !g.empty(); g = g.subspan(std::min(bucket_, g.size()))) {
      const std::span<float> part = g.first(std::min(bucket_, g.size()));
      BitReader in(message.subspan(sizeof(float)));
      get_levels(in, get_scale(message), levels_, bits_, part);
      message = message.subspan(bytes_of(part.size()));
    }
  }

 private:
  std::size_t bytes_of(std::size_t size) const { return sizeof(float) + packed_bytes(size, bits_); }
  float norm(std::span<const float> g) const {
    if (largest_) return largest_gradient(g);
    double squares = 0;
    for (const float value : g) squares += static_cast<double>(value) * static_cast<double>(value);
    return static_cast<float>(std::sqrt(squares));
  }

  int levels_;
  int bits_;
  std::size_t bucket_;
  bool largest_;
};

}  // namespace

GradientMethod read_qsgd(spec::Reader& keys) {
  int levels = 1;
  int bucket = 512;
  std::string norm = "l2";
  keys.field("levels", levels, spec::between(1, 127), "s, levels beside 0");
  keys.field("bucket", bucket, spec::at_least(1), "values that share a norm");
  keys.choice("norm", norm, {"l2", "max"}, "what a bucket is scaled by");
  return {.exchanged = [levels, bucket, norm] {
    return std::make_unique<Qsgd>(levels, static_cast<std::size_t>(bucket), norm == "max");
  }};
}

}  // namespace qtrain::quant::gradients
