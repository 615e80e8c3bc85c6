#include "base/cast.hpp"
#include "base/error.hpp"
#include "engine/steps.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::engine {

namespace {

/// What the kernels take besides tensors.
struct Terms {
  float bias, alpha;
  std::size_t radius, pixels, lanes;
  Terms(const model::ResponseNorm& norm, const Layout& layout)
      : bias(static_cast<float>(norm.bias)),
        alpha(static_cast<float>(norm.alpha)),
        radius(narrow<std::size_t>(norm.radius)),
        pixels(layout.images * layout.pixels),
        lanes(layout.lanes) {
    QTRAIN_CHECK(layout.blocks == 1, "a response norm over {} blocks of channels", layout.blocks);
  }
};

class ResponseNormForward final : public Step {
 public:
  ResponseNormForward(const std::string& name, TensorId src, TensorId dst, TensorId scratch,
                      const Terms& terms)
      : Step(name, StepKind::response_norm, {src, scratch}, {dst}),
        src_(src),
        dst_(dst),
        scratch_(scratch),
        t_(terms) {}
  void run(const RunContext& context) const override {
    kernels::active().response_norm(context.at(src_), t_.bias, t_.alpha, t_.radius, context.at(scratch_),
                                    context.at(dst_), t_.pixels, t_.lanes);
  }

 private:
  TensorId src_, dst_, scratch_;
  Terms t_;
};

class ResponseNormBackward final : public Step {
 public:
  ResponseNormBackward(const std::string& name, TensorId src, TensorId diff_dst, TensorId diff_src,
                       TensorId scratch, const Terms& terms)
      : Step(name, StepKind::response_norm, {src, diff_dst, scratch}, {diff_src}),
        src_(src),
        diff_dst_(diff_dst),
        diff_src_(diff_src),
        scratch_(scratch),
        t_(terms) {}
  void run(const RunContext& context) const override {
    kernels::active().response_norm_backward(context.at(src_), context.at(diff_dst_), t_.bias, t_.alpha,
                                             t_.radius, context.at(scratch_), context.at(diff_src_),
                                             t_.pixels, t_.lanes);
  }

 private:
  TensorId src_, diff_dst_, diff_src_, scratch_;
  Terms t_;
};

}  // namespace

std::size_t response_norm_bytes(const model::ResponseNorm& norm, const Layout& layout) {
  return 2 * (layout.lanes + 2 * narrow<std::size_t>(norm.radius)) * sizeof(float);
}

std::unique_ptr<Step> response_norm_forward(const std::string& name, TensorId src, TensorId dst,
                                            TensorId scratch, const model::ResponseNorm& norm,
                                            const Layout& layout) {
  return std::make_unique<ResponseNormForward>(name, src, dst, scratch, Terms(norm, layout));
}

std::unique_ptr<Step> response_norm_backward(const std::string& name, TensorId src, TensorId diff_dst,
                                             TensorId diff_src, TensorId scratch,
                                             const model::ResponseNorm& norm, const Layout& layout) {
  return std::make_unique<ResponseNormBackward>(name, src, diff_dst, diff_src, scratch, Terms(norm, layout));
}

}  // namespace qtrain::engine
