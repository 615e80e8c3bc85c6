#pragma once
#include <compare>
#include <dnnl.hpp>
#include <string>
#include <vector>

#include "engine/context.hpp"
#include "engine/layout.hpp"
#include "model/graph.hpp"

/// The one place that knows oneDNN's version: descriptors in, calls out. Everything is created for one
/// thread; the engine runs calls side by side on its own threads.
namespace qtrain::engine::onednn {

using Desc = dnnl::memory::desc;

const dnnl::engine& cpu();
/// Tells oneDNN's OpenMP runtime how many threads the calling one may use. Every engine thread works alone.
void use_threads(int threads);

Desc any(const dnnl::memory::dims& dims);
Desc plain(const dnnl::memory::dims& dims);  ///< row major
/// nhwc. Convolutions use it throughout: measured with 2.6.3 on Zen 4, shards of 8, one thread, against the
/// nChw16c that `any` chooses: 16 channels 0.96 ms for the three passes against 1.11, 32 and 64 channels 0.90
/// and 0.83 against 0.92 and 0.85, 19 channels 2.3 against 4.0, and no fall to a reference kernel where
/// channels are no multiple of 16 (6 -> 16 channels 5x5: 0.26 ms against 239).
Desc channels_last(const dnnl::memory::dims& dims);
/// Weights OIHW as I, kernel rows, kernel columns, O.
Desc outputs_last(const dnnl::memory::dims& dims);
Desc transposed(const dnnl::memory::dims& dims);  ///< a matrix, column major
/// The same layout with values stored so.
Desc in_storage(const Desc& desc, Storage storage);
bool is_bfloat16(const Desc& desc);
/// Whether this CPU has convolutions of bfloat16 other than oneDNN's reference.
bool has_bfloat16();
/// The layout of a 2-d or 4-d activation tensor; false when it is none that Layout can express.
bool describe(const Desc& desc, Layout& layout);

struct Window {
  int kernel = 1, stride = 1, padding = 0, end_padding = 0;  ///< as in model::Layer
  auto operator<=>(const Window&) const = default;
};
Window window_of(const model::Layer& layer);

/// A primitive with the descriptors it chose.
struct Built {
  dnnl::primitive primitive;
  Desc src, weights, dst;  ///< in backward calls: of diff_src, (diff_)weights, diff_dst where they apply
  Desc workspace;
  std::size_t scratchpad = 0;
  std::string implementation;
};

/// Convolution without bias; `src` and `dst` may be any(...), weights is dims OIHW, of src's type. Where that
/// is bfloat16, so is diff_dst of the backward calls; sums are floats, and so are dst and diff_weights.
Built convolution_forward(const Desc& src, const dnnl::memory::dims& weights, const Desc& dst, Window window);
/// The same on one-byte codes: 32-bit integer sums, handed over as floats. Its implementation's name tells
/// whether the sums are exact: see sums_exactly().
Built integer_convolution_forward(const Desc& src, const dnnl::memory::dims& weights, const Desc& dst,
                                  Window window);
/// Whether an integer convolution never saturates in between, which 16-bit pair sums of older CPUs do.
bool sums_exactly(const Built& built);
Built convolution_backward_data(const Built& forward, Window window, Storage diff_src);
Built convolution_backward_weights(const Built& forward, Window window);
/// dst = src weights^T; src, dst 2-d plain, weights OI.
Built linear_forward(const Desc& src, const dnnl::memory::dims& weights, const Desc& dst);
Built linear_backward_data(const Built& forward, Storage diff_src);
Built linear_backward_weights(const Built& forward);
Built pool_forward(const Desc& src, const dnnl::memory::dims& dst, Window window, bool maximum,
                   bool training);
Built pool_backward(const Built& forward, Window window, bool maximum);
Built reorder(const Desc& from, const Desc& to);

/// A row major matrix, `stride` values from row to row, read as its transpose if so said.
struct Matrix {
  const float* values;
  std::size_t stride;
  bool transpose = false;
};
struct ProductSize {
  std::size_t rows, columns, terms;
};
/// dst = left right + keep dst on the calling thread, keep 0 or 1; dst has `stride` values from row to row.
void multiply(const ProductSize& size, const Matrix& left, const Matrix& right, float keep, float* dst,
              std::size_t stride);

/// A primitive and its arguments, ready to run on any shard by any of `threads` threads. No allocation when
/// run.
class Call {
 public:
  struct Argument {
    int role;  ///< DNNL_ARG_...
    Desc desc;
    TensorId tensor;  ///< -1: `fixed`
    const void* fixed;
  };
  Call(const Built& built, const std::vector<Argument>& arguments, int threads);
  void run(const RunContext& context) const;

 private:
  struct PerThread {
    dnnl::stream stream;
    std::vector<dnnl::memory> memories;
    std::vector<dnnl_exec_arg_t> arguments;
  };
  dnnl::primitive primitive_;
  std::vector<std::pair<std::size_t, TensorId>> varying_;  ///< memory index, tensor
  bool scratch_ = false;
  std::vector<PerThread> threads_;
};

/// Copies between layouts on the calling thread (weights, once a step).
class Reorder {
 public:
  Reorder(const Desc& from, const void* from_data, const Desc& to, void* to_data);
  void run() const;

 private:
  dnnl::stream stream_;
  dnnl::memory from_, to_;
  dnnl::reorder reorder_;
  dnnl::memory scratchpad_;
};

}  // namespace qtrain::engine::onednn
