#include "engine/winograd_step.hpp"

namespace qtrain::engine {

namespace {

class WinogradStep final : public Step {
 public:
  WinogradStep(const std::string& name, StepKind kind,
               std::unique_ptr<kernels::WinogradConvolution> convolution, std::size_t images, TensorId src,
               const float* weights, TensorId scratch, TensorId dst)
      : Step(name, kind, {src, scratch}, {dst}),
        convolution_(std::move(convolution)),
        images_(images),
        src_(src),
        weights_(weights),
        scratch_(scratch),
        dst_(dst) {}
  void run(const RunContext& context) const override {
    convolution_->run(context.at(src_), images_, weights_, context.at(scratch_), context.at(dst_));
  }

 private:
  std::unique_ptr<kernels::WinogradConvolution> convolution_;
  std::size_t images_;
  TensorId src_;
  const float* weights_;
  TensorId scratch_, dst_;
};

class WinogradGradientStep final : public Step {
 public:
  WinogradGradientStep(const std::string& name, std::unique_ptr<kernels::WinogradWeightGradient> gradient,
                       std::size_t images, TensorId src, TensorId diff_dst, TensorId scratch,
                       TensorId diff_weights)
      : Step(name, StepKind::convolution_backward_weights, {src, diff_dst, scratch}, {diff_weights}),
        gradient_(std::move(gradient)),
        images_(images),
        src_(src),
        diff_dst_(diff_dst),
        scratch_(scratch),
        diff_weights_(diff_weights) {}
  void run(const RunContext& context) const override {
    gradient_->run(context.raw(src_), context.at(diff_dst_), images_, context.at(scratch_),
                   context.at(diff_weights_));
  }

 private:
  std::unique_ptr<kernels::WinogradWeightGradient> gradient_;
  std::size_t images_;
  TensorId src_, diff_dst_, scratch_, diff_weights_;
};

}  // namespace

std::unique_ptr<Step> winograd_step(const std::string& name, StepKind kind,
                                    std::unique_ptr<kernels::WinogradConvolution> convolution,
                                    std::size_t images, TensorId src, const float* weights, TensorId scratch,
                                    TensorId dst) {
  return std::make_unique<WinogradStep>(name, kind, std::move(convolution), images, src, weights, scratch,
                                        dst);
}

std::unique_ptr<Step> winograd_gradient_step(const std::string& name,
                                             std::unique_ptr<kernels::WinogradWeightGradient> gradient,
                                             std::size_t images, TensorId src, TensorId diff_dst,
                                             TensorId scratch, TensorId diff_weights) {
  return std::make_unique<WinogradGradientStep>(name, std::move(gradient), images, src, diff_dst, scratch,
                                                diff_weights);
}

}  // namespace qtrain::engine
