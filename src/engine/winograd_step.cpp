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

}  // namespace

std::unique_ptr<Step> winograd_step(const std::string& name, StepKind kind,
                                    std::unique_ptr<kernels::WinogradConvolution> convolution,
                                    std::size_t images, TensorId src, const float* weights, TensorId scratch,
                                    TensorId dst) {
  return std::make_unique<WinogradStep>(name, kind, std::move(convolution), images, src, weights, scratch,
                                        dst);
}

}  // namespace qtrain::engine
