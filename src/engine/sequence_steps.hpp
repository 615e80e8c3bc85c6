#pragma once
#include <memory>
#include <string>

#include "base/aligned.hpp"
#include "engine/program.hpp"

/// Steps on sequences of tokens. Tensors are nhwc with one column: [sequence][time][channel], floats.
namespace qtrain::engine {

/// What a recurrent layer hands on from batch to batch: [lane][h, c][features].
struct Carried {
  AlignedBuffer<float> values;
};

struct SequenceShape {
  std::size_t sequences = 0, steps = 0, features = 0;
  std::size_t rows() const { return sequences * steps; }
};

/// dst = the row of `table` [tokens][features] that each token of src names.
std::unique_ptr<Step> embedding_forward(const std::string& name, TensorId src, const float* table,
                                        TensorId dst, const SequenceShape& shape);
/// diff_table [tokens][features]: the rows of diff_dst added up by token, in their order.
std::unique_ptr<Step> embedding_backward(const std::string& name, TensorId src, TensorId diff_dst,
                                         TensorId diff_table, std::size_t tokens, const SequenceShape& shape);

/// dst = keep ? src / (1 - rate) : 0, keep drawn by layer, sequence and step of the optimizer; its bytes go
/// to `mask`.
std::unique_ptr<Step> dropout_forward(const std::string& name, double rate, int layer, std::uint64_t seed,
                                      TensorId src, TensorId dst, TensorId mask, std::size_t sequences,
                                      std::size_t size_of_one);
std::unique_ptr<Step> dropout_backward(const std::string& name, double rate, TensorId diff_dst, TensorId mask,
                                       TensorId diff_src, std::size_t size);

/// The tensors of one LSTM layer, see model/lstm.cpp; 4H are the gates i, f, g, o.
struct LstmTensors {
  TensorId src = -1;      ///< W x, [sequence][time][4H]
  TensorId dst = -1;      ///< h, [sequence][time][H]
  TensorId gates = -1;    ///< after sigmoid and tanh
  TensorId cells = -1;    ///< c
  TensorId tanhs = -1;    ///< tanh(c)
  TensorId initial = -1;  ///< h and c before the first step, [2][sequence][H]
  TensorId scratch = -1;  ///< lstm_scratch_bytes
};
/// Bytes of scratch for forward, and for backward.
std::size_t lstm_scratch_bytes(const SequenceShape& shape);
/// `weights` is U transposed, [H][4H]; `bias` [4H]. Goes on from `carried` and leaves its last h and c there.
std::unique_ptr<Step> lstm_forward(const std::string& name, const LstmTensors& tensors, const float* weights,
                                   const float* bias, Carried& carried, const SequenceShape& shape);
/// Gradients of src, of U [4H][H] (`weights` is U as it is) and of the bias [4H], from that of dst. None
/// flows into what is carried.
std::unique_ptr<Step> lstm_backward(const std::string& name, const LstmTensors& tensors, const float* weights,
                                    TensorId diff_dst, TensorId diff_src, TensorId diff_weights,
                                    TensorId diff_bias, const SequenceShape& shape);

}  // namespace qtrain::engine
