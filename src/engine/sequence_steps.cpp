#include "engine/sequence_steps.hpp"

#include <algorithm>

#include "base/random.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::engine {

namespace {

/// Number of the token; the engine has checked that it is one of the vocabulary.
std::size_t token_at(const float* src, std::size_t row) { return static_cast<std::size_t>(src[row]); }

class EmbeddingForward final : public Step {
 public:
  EmbeddingForward(const std::string& name, TensorId src, const float* table, TensorId dst,
                   const SequenceShape& shape)
      : Step(name, StepKind::embedding, {src}, {dst}), src_(src), dst_(dst), table_(table), s_(shape) {}
  void run(const RunContext& context) const override {
    const std::size_t size = s_.features;
    for (std::size_t row = 0; row < s_.rows(); ++row)
      std::copy_n(table_ + token_at(context.at(src_), row) * size, size, context.at(dst_) + row * size);
  }

 private:
  TensorId src_, dst_;
  const float* table_;
  SequenceShape s_;
};

class EmbeddingBackward final : public Step {
 public:
  EmbeddingBackward(const std::string& name, TensorId src, TensorId diff_dst, TensorId diff_table,
                    std::size_t tokens, const SequenceShape& shape)
      : Step(name, StepKind::embedding, {src, diff_dst}, {diff_table}),
        src_(src),
        diff_dst_(diff_dst),
        diff_table_(diff_table),
        tokens_(tokens),
        s_(shape) {}
  void run(const RunContext& context) const override {
    const std::size_t size = s_.features;
    float* table = context.at(diff_table_);
    std::fill_n(table, tokens_ * size, 0.0f);
    for (std::size_t row = 0; row < s_.rows(); ++row) {
      float* sum = table + token_at(context.at(src_), row) * size;
      kernels::active().add(sum, context.at(diff_dst_) + row * size, sum, size);
    }
  }

 private:
  TensorId src_, diff_dst_, diff_table_;
  std::size_t tokens_;
  SequenceShape s_;
};

class DropoutForward final : public Step {
 public:
  DropoutForward(const std::string& name, double rate, int layer, std::uint64_t seed, TensorId src,
                 TensorId dst, TensorId mask, std::size_t sequences, std::size_t size)
      : Step(name, StepKind::dropout, {src}, {dst, mask}),
        rate_(static_cast<float>(rate)),
        factor_(static_cast<float>(1 / (1 - rate))),
        layer_(static_cast<std::uint32_t>(layer)),
        seed_(seed),
        src_(src),
        dst_(dst),
        mask_(mask),
        sequences_(sequences),
        size_(size) {}
  void run(const RunContext& context) const override {
    const float* src = context.at(src_);
    float* dst = context.at(dst_);
    std::byte* mask = context.raw(mask_);
    for (std::size_t n = 0; n < sequences_; ++n) {
      RandomStream random(seed_, Purpose::dropout, layer_, context.image + static_cast<std::uint32_t>(n),
                          context.step);
      for (std::size_t i = n * size_; i < (n + 1) * size_; ++i) {
        const bool keep = random.uniform() >= rate_;
        mask[i] = static_cast<std::byte>(keep);
        dst[i] = keep ? src[i] * factor_ : 0.0f;
      }
    }
  }

 private:
  float rate_, factor_;
  std::uint32_t layer_;
  std::uint64_t seed_;
  TensorId src_, dst_, mask_;
  std::size_t sequences_, size_;
};

class DropoutBackward final : public Step {
 public:
  DropoutBackward(const std::string& name, double rate, TensorId diff_dst, TensorId mask, TensorId diff_src,
                  std::size_t size)
      : Step(name, StepKind::dropout, {diff_dst, mask}, {diff_src}),
        factor_(static_cast<float>(1 / (1 - rate))),
        diff_dst_(diff_dst),
        mask_(mask),
        diff_src_(diff_src),
        size_(size) {}
  void run(const RunContext& context) const override {
    const std::byte* mask = context.raw(mask_);
    for (std::size_t i = 0; i < size_; ++i)
      context.at(diff_src_)[i] = mask[i] != std::byte{0} ? context.at(diff_dst_)[i] * factor_ : 0.0f;
  }

 private:
  float factor_;
  TensorId diff_dst_, mask_, diff_src_;
  std::size_t size_;
};

}  // namespace

std::unique_ptr<Step> embedding_forward(const std::string& name, TensorId src, const float* table,
                                        TensorId dst, const SequenceShape& shape) {
  return std::make_unique<EmbeddingForward>(name, src, table, dst, shape);
}

std::unique_ptr<Step> embedding_backward(const std::string& name, TensorId src, TensorId diff_dst,
                                         TensorId diff_table, std::size_t tokens,
                                         const SequenceShape& shape) {
  return std::make_unique<EmbeddingBackward>(name, src, diff_dst, diff_table, tokens, shape);
}

std::unique_ptr<Step> dropout_forward(const std::string& name, double rate, int layer, std::uint64_t seed,
                                      TensorId src, TensorId dst, TensorId mask, std::size_t sequences,
                                      std::size_t size_of_one) {
  return std::make_unique<DropoutForward>(name, rate, layer, seed, src, dst, mask, sequences, size_of_one);
}

std::unique_ptr<Step> dropout_backward(const std::string& name, double rate, TensorId diff_dst, TensorId mask,
                                       TensorId diff_src, std::size_t size) {
  return std::make_unique<DropoutBackward>(name, rate, diff_dst, mask, diff_src, size);
}

}  // namespace qtrain::engine
