#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "engine/affine.hpp"
#include "engine/bit_product.hpp"
#include "engine/engine.hpp"
#include "engine/layout.hpp"
#include "engine/onednn.hpp"
#include "engine/program.hpp"

/// The steps a program is made of, besides sums between segments. Layouts are of one shard.
namespace qtrain::engine {

/// A oneDNN primitive.
class CallStep final : public Step {
 public:
  CallStep(std::string name, StepKind kind, const onednn::Built& built,
           const std::vector<onednn::Call::Argument>& arguments, int threads, std::vector<TensorId> reads,
           std::vector<TensorId> writes)
      : Step(std::move(name), kind, std::move(reads), std::move(writes)), call_(built, arguments, threads) {}
  void run(const RunContext& context) const override { call_.run(context); }

 private:
  onednn::Call call_;
};

/// One summand of an elementwise pass: y += affine(z). Forward, z may be a product that the pass computes
/// itself, some rows at a time.
struct Operand {
  Stored z;
  Affine* affine = nullptr;
  std::optional<BitProduct> product = {};
  const ActivationUnit* unit = nullptr;  ///< whose codes z holds; null: it holds none
};

/// This shard's moments of z into the affine's partial sums. `tiles` is scratch of tiles_bytes(layout).
std::unique_ptr<Step> moments_step(const std::string& name, const Operand& operand, TensorId tiles,
                                   const Layout& layout);

/// dst = activation(sum of operands' affine maps): normalise, add, quantize in one pass over the shard.
class ElementwiseForward : public Step {
 public:
  using Step::Step;
  /// Writes its result to one more tensor, of another storage.
  virtual void also_write(const Stored& dst) = 0;
  /// Before an evaluation, whenever weights, statistics or what quantizers learn have changed.
  virtual void prepare() {}
};
/// One or two operands; `unit` null: no activation. `tiles` is scratch of tiles_bytes(layout), or, with a
/// product among them, of row_tiles_bytes(operands).
std::unique_ptr<ElementwiseForward> elementwise_forward(const std::string& name,
                                                        const std::vector<Operand>& operands,
                                                        const ActivationUnit* unit, TensorId tiles,
                                                        const Layout& layout);

/// g = (sum of diff_dst) * mu'(y), y computed anew from the operands; the shard's sums of g and of g (z -
/// mean) into each affine that wants them, and the learned values' gradients into the unit. `tiles` is
/// scratch of tiles_bytes(layout).
std::unique_ptr<Step> elementwise_backward(const std::string& name, const std::vector<Stored>& diff_dst,
                                           const std::vector<Operand>& operands, ActivationUnit* unit,
                                           const Stored& g, TensorId tiles, const Layout& layout);
std::size_t tiles_bytes(const Layout& layout);
std::size_t row_tiles_bytes(const std::vector<Operand>& operands);

/// dst = src in another storage, `size` values.
std::unique_ptr<Step> convert_step(const std::string& name, const Stored& src, const Stored& dst,
                                   std::size_t size);

/// diff = P g + Q z + R: through batch norm to the tensor it normalised. `tiles` is scratch of
/// tiles_bytes(layout).
std::unique_ptr<Step> affine_backward(const std::string& name, const Stored& g, const Operand& operand,
                                      const Stored& diff, TensorId tiles, const Layout& layout);

/// dst = x1 + x2 over whole tensors of one layout.
std::unique_ptr<Step> sum_step(const std::string& name, TensorId x1, TensorId x2, TensorId dst,
                               std::size_t size);

/// dst = src with the gradient of each image quantized; random numbers by layer, image and step.
std::unique_ptr<Step> propagated_step(const std::string& name, const quant::PropagatedQuantizer& quantizer,
                                      int layer, std::uint64_t seed, TensorId src, TensorId dst,
                                      const Layout& layout);

/// Local response normalization over nhwc. `scratch` has response_norm_bytes(norm, layout).
std::unique_ptr<Step> response_norm_forward(const std::string& name, TensorId src, TensorId dst,
                                            TensorId scratch, const model::ResponseNorm& norm,
                                            const Layout& layout);
std::unique_ptr<Step> response_norm_backward(const std::string& name, TensorId src, TensorId diff_dst,
                                             TensorId diff_src, TensorId scratch,
                                             const model::ResponseNorm& norm, const Layout& layout);
std::size_t response_norm_bytes(const model::ResponseNorm& norm, const Layout& layout);

/// Option A shortcut: dst pixel (y, x) is src pixel (stride y, stride x), channels past src's are zero.
/// Values of `element_size` bytes. Backward scatters diff_dst into a zeroed diff_src. `width` is src's.
std::unique_ptr<Step> shortcut_forward(const std::string& name, TensorId src, const Layout& src_layout,
                                       TensorId dst, const Layout& dst_layout, int width, int stride,
                                       std::size_t element_size);
std::unique_ptr<Step> shortcut_backward(const std::string& name, TensorId diff_dst, const Layout& dst_layout,
                                        TensorId diff_src, const Layout& src_layout, int width, int stride,
                                        std::size_t element_size);

/// Loss of one shard.
struct LossPartial {
  double loss = 0;
  int correct = 0;
};
/// src: logits [images][classes] plain; diff_src the same, scaled by 1 / batch, or -1 for evaluation.
/// `scratch` has loss_scratch_bytes. partials[shard] is written.
std::unique_ptr<Step> loss_step(const Loss& loss, TensorId src, TensorId diff_src, TensorId scratch,
                                int images, int classes, std::vector<LossPartial>* partials);
std::size_t loss_scratch_bytes(int classes);

}  // namespace qtrain::engine
