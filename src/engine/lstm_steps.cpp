#include <algorithm>

#include "engine/onednn.hpp"
#include "engine/sequence_steps.hpp"
#include "kernels/kernels.hpp"
#include "kernels/lstm_cell.hpp"

namespace qtrain::engine {

namespace {

using onednn::Matrix;

/// Scratch of a layer: the previous h of all rows, which forward uses for single rows; sums of the bias in
/// double; dh and dc of one step.
struct LstmScratch {
  float* rows;     ///< [sequence][time][H], at least 4H
  double* sums;    ///< [4H]
  float *dh, *dc;  ///< [sequence][H]

  static std::size_t row_floats(const SequenceShape& s) {
    return std::max(s.rows(), std::size_t{4}) * s.features;
  }
  static std::size_t bytes(const SequenceShape& s) {
    return 4 * s.features * sizeof(double) + (row_floats(s) + 2 * s.sequences * s.features) * sizeof(float);
  }
  LstmScratch(std::byte* place, const SequenceShape& s)
      : rows(reinterpret_cast<float*>(place + 4 * s.features * sizeof(double))),
        sums(reinterpret_cast<double*>(place)),
        dh(rows + row_floats(s)),
        dc(dh + s.sequences * s.features) {}
};

class LstmForward final : public Step {
 public:
  LstmForward(const std::string& name, const LstmTensors& tensors, const float* weights, const float* bias,
              Carried& carried, const SequenceShape& shape)
      : Step(name, StepKind::lstm, {tensors.src, tensors.scratch},
             {tensors.dst, tensors.gates, tensors.cells, tensors.tanhs, tensors.initial}),
        t_(tensors),
        weights_(weights),
        bias_(bias),
        carried_(carried),
        s_(shape) {}

  void run(const RunContext& context) const override {
    const std::size_t lanes = s_.sequences, size = s_.features;
    float* state = carried_.values.data() + 2 * size * context.image;
    float* h_start = context.at(t_.initial);
    float* c_start = h_start + lanes * size;
    for (std::size_t n = 0; n < lanes; ++n) {
      std::copy_n(state + 2 * n * size, size, h_start + n * size);
      std::copy_n(state + (2 * n + 1) * size, size, c_start + n * size);
    }
    for (std::size_t time = 0; time < s_.steps; ++time) step(context, time, h_start, c_start);
    for (std::size_t n = 0; n < lanes; ++n) {
      const std::size_t last = ((n + 1) * s_.steps - 1) * size;
      std::copy_n(context.at(t_.dst) + last, size, state + 2 * n * size);
      std::copy_n(context.at(t_.cells) + last, size, state + (2 * n + 1) * size);
    }
  }

 private:
  void step(const RunContext& context, std::size_t time, const float* h_start, const float* c_start) const {
    const std::size_t size = s_.features, across = s_.steps * size;  // from sequence to sequence
    float *gates = context.at(t_.gates) + 4 * time * size, *h = context.at(t_.dst) + time * size;
    const float* src = context.at(t_.src) + 4 * time * size;
    for (std::size_t n = 0; n < s_.sequences; ++n)
      kernels::active().add(src + 4 * n * across, bias_, gates + 4 * n * across, 4 * size);
    const Matrix before = time == 0 ? Matrix{h_start, size} : Matrix{h - size, across};
    onednn::multiply({s_.sequences, 4 * size, size}, before, {weights_, 4 * size}, 1, gates, 4 * across);
    float *cells = context.at(t_.cells) + time * size, *tanhs = context.at(t_.tanhs) + time * size;
    const LstmScratch scratch(context.raw(t_.scratch), s_);
    for (std::size_t n = 0; n < s_.sequences; ++n) {
      const float* c_before = time == 0 ? c_start + n * size : cells + n * across - size;
      kernels::lstm_cell_forward(gates + 4 * n * across, c_before, cells + n * across, tanhs + n * across,
                                 h + n * across, size, scratch.rows);
    }
  }

  LstmTensors t_;
  const float *weights_, *bias_;
  Carried& carried_;
  SequenceShape s_;
};

class LstmBackward final : public Step {
 public:
  LstmBackward(const std::string& name, const LstmTensors& tensors, const float* weights, TensorId diff_dst,
               TensorId diff_src, TensorId diff_weights, TensorId diff_bias, const SequenceShape& shape)
      : Step(name, StepKind::lstm,
             {diff_dst, tensors.dst, tensors.gates, tensors.cells, tensors.tanhs, tensors.initial,
              tensors.scratch},
             {diff_src, diff_weights, diff_bias}),
        t_(tensors),
        weights_(weights),
        diff_dst_(diff_dst),
        diff_src_(diff_src),
        diff_weights_(diff_weights),
        diff_bias_(diff_bias),
        s_(shape) {}

  void run(const RunContext& context) const override {
    const LstmScratch scratch(context.raw(t_.scratch), s_);
    std::fill_n(scratch.dh, 2 * s_.sequences * s_.features, 0.0f);  // dc lies behind it
    for (std::size_t time = s_.steps; time-- > 0;) step(context, time, scratch);
    sum_up(context, scratch);
  }

 private:
  void step(const RunContext& context, std::size_t time, const LstmScratch& scratch) const {
    const std::size_t size = s_.features, across = s_.steps * size, lanes = s_.sequences;
    const std::size_t at = time * size;
    const float* c_start = context.at(t_.initial) + lanes * size;
    float* diff = context.at(diff_src_) + 4 * at;
    for (std::size_t n = 0; n < lanes; ++n) {
      const std::size_t row = n * across + at;
      float *dh = scratch.dh + n * size, *dc = scratch.dc + n * size;
      const float* c_before = time == 0 ? c_start + n * size : context.at(t_.cells) + row - size;
      kernels::active().add(context.at(diff_dst_) + row, dh, dh, size);
      kernels::lstm_cell_backward(context.at(t_.gates) + 4 * row, c_before, context.at(t_.tanhs) + row, dh,
                                  dc, diff + 4 * n * across, size);
    }
    if (time > 0)
      onednn::multiply({lanes, size, 4 * size}, {diff, 4 * across}, {weights_, size}, 0, scratch.dh, size);
  }

  /// Over all rows at once, of the gradients of the pre-activations with the h before each.
  void sum_up(const RunContext& context, const LstmScratch& scratch) const {
    const std::size_t size = s_.features, across = s_.steps * size;
    for (std::size_t n = 0; n < s_.sequences; ++n) {
      float* rows = scratch.rows + n * across;
      std::copy_n(context.at(t_.initial) + n * size, size, rows);
      std::copy_n(context.at(t_.dst) + n * across, across - size, rows + size);
    }
    const float* diff = context.at(diff_src_);
    onednn::multiply({4 * size, size, s_.rows()}, {diff, 4 * size, true}, {scratch.rows, size}, 0,
                     context.at(diff_weights_), size);
    std::fill_n(scratch.sums, 4 * size, 0.0);
    kernels::active().lane_sums(diff, scratch.sums, s_.rows(), 4 * size);
    std::transform(scratch.sums, scratch.sums + 4 * size, context.at(diff_bias_),
                   [](double x) { return static_cast<float>(x); });
  }

  LstmTensors t_;
  const float* weights_;
  TensorId diff_dst_, diff_src_, diff_weights_, diff_bias_;
  SequenceShape s_;
};

}  // namespace

std::size_t lstm_scratch_bytes(const SequenceShape& shape) { return LstmScratch::bytes(shape); }

std::unique_ptr<Step> lstm_forward(const std::string& name, const LstmTensors& tensors, const float* weights,
                                   const float* bias, Carried& carried, const SequenceShape& shape) {
  return std::make_unique<LstmForward>(name, tensors, weights, bias, carried, shape);
}

std::unique_ptr<Step> lstm_backward(const std::string& name, const LstmTensors& tensors, const float* weights,
                                    TensorId diff_dst, TensorId diff_src, TensorId diff_weights,
                                    TensorId diff_bias, const SequenceShape& shape) {
  return std::make_unique<LstmBackward>(name, tensors, weights, diff_dst, diff_src, diff_weights, diff_bias,
                                        shape);
}

}  // namespace qtrain::engine
