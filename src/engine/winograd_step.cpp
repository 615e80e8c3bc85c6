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

class WinogradPairStep final : public Step {
 public:
  WinogradPairStep(const std::string& name, std::unique_ptr<kernels::WinogradPairData> data,
                   std::size_t images, TensorId diff_dst, const float* weights, TensorId scratch,
                   const Stored& diff_src)
      : Step(name, StepKind::convolution_backward_data, {diff_dst, scratch}, {diff_src.tensor}),
        data_(std::move(data)),
        images_(images),
        diff_dst_(diff_dst),
        weights_(weights),
        scratch_(scratch),
        diff_src_(diff_src) {}
  void run(const RunContext& context) const override {
    const auto* diff_dst = reinterpret_cast<const unsigned short*>(context.raw(diff_dst_));
    std::byte *scratch = context.raw(scratch_), *diff_src = context.raw(diff_src_.tensor);
    if (diff_src_.storage == Storage::float32)
      data_->run(diff_dst, images_, weights_, scratch, reinterpret_cast<float*>(diff_src));
    else
      data_->run(diff_dst, images_, weights_, scratch, reinterpret_cast<unsigned short*>(diff_src));
  }

 private:
  std::unique_ptr<kernels::WinogradPairData> data_;
  std::size_t images_;
  TensorId diff_dst_;
  const float* weights_;
  TensorId scratch_;
  Stored diff_src_;
};

}  // namespace

std::unique_ptr<Step> winograd_pair_step(const std::string& name,
                                         std::unique_ptr<kernels::WinogradPairData> data, std::size_t images,
                                         TensorId diff_dst, const float* weights, TensorId scratch,
                                         const Stored& diff_src) {
  return std::make_unique<WinogradPairStep>(name, std::move(data), images, diff_dst, weights, scratch,
                                            diff_src);
}

std::unique_ptr<Step> winograd_step(const std::string& name, StepKind kind,
                                    std::unique_ptr<kernels::WinogradConvolution> convolution,
                                    std::size_t images, TensorId src, const float* weights, TensorId scratch,
                                    TensorId dst) {
  return std::make_unique<WinogradStep>(name, kind, std::move(convolution), images, src, weights, scratch,
                                        dst);
}

}  // namespace qtrain::engine
