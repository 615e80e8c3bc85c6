#include "engine/weight_gradient_step.hpp"

namespace qtrain::engine {

namespace {

template <class Gradient>
class WeightGradientStep final : public Step {
 public:
  WeightGradientStep(const std::string& name, std::unique_ptr<Gradient> gradient, std::size_t images,
                     TensorId src, TensorId diff_dst, TensorId scratch, TensorId diff_weights)
      : Step(name, StepKind::convolution_backward_weights, {src, diff_dst, scratch}, {diff_weights}),
        gradient_(std::move(gradient)),
        images_(images),
        src_(src),
        diff_dst_(diff_dst),
        scratch_(scratch),
        diff_weights_(diff_weights) {}
  void run(const RunContext& context) const override {
    using DiffDst = typename Gradient::DiffDst;
    using Scratch = typename Gradient::Scratch;
    gradient_->run(context.raw(src_), reinterpret_cast<const DiffDst*>(context.raw(diff_dst_)), images_,
                   reinterpret_cast<Scratch*>(context.raw(scratch_)), context.at(diff_weights_));
  }

 private:
  std::unique_ptr<Gradient> gradient_;
  std::size_t images_;
  TensorId src_, diff_dst_, scratch_, diff_weights_;
};

}  // namespace

template <class Gradient>
std::unique_ptr<Step> weight_gradient_step(const std::string& name, std::unique_ptr<Gradient> gradient,
                                           std::size_t images, TensorId src, TensorId diff_dst,
                                           TensorId scratch, TensorId diff_weights) {
  return std::make_unique<WeightGradientStep<Gradient>>(name, std::move(gradient), images, src, diff_dst,
                                                        scratch, diff_weights);
}

template std::unique_ptr<Step> weight_gradient_step(const std::string&,
                                                    std::unique_ptr<kernels::WeightGradient>, std::size_t,
                                                    TensorId, TensorId, TensorId, TensorId);
template std::unique_ptr<Step> weight_gradient_step(const std::string&,
                                                    std::unique_ptr<kernels::WinogradWeightGradient>,
                                                    std::size_t, TensorId, TensorId, TensorId, TensorId);
template std::unique_ptr<Step> weight_gradient_step(const std::string&,
                                                    std::unique_ptr<kernels::WinogradPairWeightGradient>,
                                                    std::size_t, TensorId, TensorId, TensorId, TensorId);

}  // namespace qtrain::engine
