#include "engine/onednn.hpp"

#include <algorithm>

#include "base/error.hpp"

extern "C" void omp_set_num_threads(int);

namespace qtrain::engine::onednn {

using dnnl::algorithm;
using dnnl::memory;
using dnnl::prop_kind;

const dnnl::engine& cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

void use_threads(int threads) { omp_set_num_threads(threads); }

namespace {

memory::format_tag row_major(std::size_t dimensions) {
  switch (dimensions) {
    case 1:
      return memory::format_tag::a;
    case 2:
      return memory::format_tag::ab;
    default:
      return memory::format_tag::abcd;
  }
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

// Version 2 describes an operation and then a primitive, version 3 does both at once.
#if DNNL_VERSION_MAJOR >= 3
template <class P, class... Arguments>
typename P::primitive_desc forward_of(const Arguments&... arguments) {
  return typename P::primitive_desc(cpu(), arguments..., attributes());
}
template <class P, class Hint, class... Arguments>
typename P::primitive_desc backward_of(const Hint& hint, const Arguments&... arguments) {
  return typename P::primitive_desc(cpu(), arguments..., hint, attributes());
}
#else
template <class P, class... Arguments>
typename P::primitive_desc forward_of(const Arguments&... arguments) {
  return typename P::primitive_desc(typename P::desc(arguments...), attributes(), cpu());
}
template <class P, class Hint, class... Arguments>
typename P::primitive_desc backward_of(const Hint& hint, const Arguments&... arguments) {
  return typename P::primitive_desc(typename P::desc(arguments...), attributes(), cpu(), hint);
}
#endif

struct WindowDims {
  memory::dims kernel, stride, padding, end_padding;
  explicit WindowDims(Window w)
      : kernel{w.kernel, w.kernel},
        stride{w.stride, w.stride},
        padding{w.padding, w.padding},
        end_padding{w.padding + w.end_padding, w.padding + w.end_padding} {}
};

memory::data_type type_of(const Desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
  return desc.get_data_type();
#else
  return desc.data_type();
#endif
}

memory::data_type type_of(Storage storage) {
  switch (storage) {
    case Storage::float32:
      return memory::data_type::f32;
    case Storage::bfloat16:
      return memory::data_type::bf16;
    case Storage::unsigned_byte:
      return memory::data_type::u8;
    case Storage::signed_byte:
      return memory::data_type::s8;
    case Storage::signed_short:
      break;  // oneDNN has none
  }
  return memory::data_type::undef;
}

Desc with_type(const Desc& desc, memory::data_type type) {
#if DNNL_VERSION_MAJOR >= 3
  return {desc.get_dims(), type, desc.get_strides()};
#else
  Desc other = desc;
  other.data.data_type = memory::convert_to_c(type);
  return other;
#endif
}

template <class P, class PrimitiveDesc>
Built finish(const PrimitiveDesc& desc, const Desc& src, const Desc& weights, const Desc& dst) {
  Built built;
  built.primitive = P(desc);
  built.src = src;
  built.weights = weights;
  built.dst = dst;
  built.scratchpad = desc.scratchpad_desc().get_size();
  built.implementation = desc.impl_info_str();
  return built;
}

Desc any_of_type(const memory::dims& dims, memory::data_type type) {
  return {dims, type, memory::format_tag::any};
}

// A backward call has the forward one's layouts of the data and is free in that of the weights. What it reads
// has the type of forward's operands.
Desc weights_read(const Built& forward) {
  return any_of_type(forward.weights.dims(), type_of(forward.weights));
}
Desc weights_made(const Built& forward) { return any(forward.weights.dims()); }
Desc diff_dst_of(const Built& forward) { return with_type(forward.dst, type_of(forward.src)); }

dnnl::convolution_forward::primitive_desc convolution_desc(const Desc& src, const Desc& weights,
                                                           const Desc& dst, Window window) {
  const WindowDims w(window);
  return forward_of<dnnl::convolution_forward>(prop_kind::forward_training, algorithm::convolution_direct,
                                               src, weights, dst, w.stride, w.padding, w.end_padding);
}

template <class P>
typename P::primitive_desc convolution_backward_desc(const Built& forward, const Desc& src,
                                                     const Desc& weights, Window window) {
  const WindowDims w(window);
  return backward_of<P>(convolution_desc(forward.src, forward.weights, forward.dst, window),
                        algorithm::convolution_direct, src, weights, diff_dst_of(forward), w.stride,
                        w.padding, w.end_padding);
}

dnnl::inner_product_forward::primitive_desc linear_desc(const Desc& src, const Desc& weights,
                                                        const Desc& dst) {
  return forward_of<dnnl::inner_product_forward>(prop_kind::forward_training, src, weights, dst);
}

dnnl::pooling_forward::primitive_desc pool_desc(const Desc& src, const Desc& dst, Window window, bool maximum,
                                                bool training) {
  const WindowDims w(window);
  const auto kind = training ? prop_kind::forward_training : prop_kind::forward_inference;
  const auto how = maximum ? algorithm::pooling_max : algorithm::pooling_avg_exclude_padding;
#if DNNL_VERSION_MAJOR >= 3
  const memory::dims dilation{0, 0};
  return forward_of<dnnl::pooling_forward>(kind, how, src, dst, w.stride, w.kernel, dilation, w.padding,
                                           w.end_padding);
#else
  return forward_of<dnnl::pooling_forward>(kind, how, src, dst, w.stride, w.kernel, w.padding, w.end_padding);
#endif
}

}  // namespace

Window window_of(const model::Layer& layer) {
  return {layer.kernel, layer.stride, layer.padding, layer.end_padding};
}

Desc any(const memory::dims& dims) { return {dims, memory::data_type::f32, memory::format_tag::any}; }
Desc plain(const memory::dims& dims) { return {dims, memory::data_type::f32, row_major(dims.size())}; }

Desc channels_last(const memory::dims& dims) {
  return {dims, memory::data_type::f32, memory::format_tag::acdb};
}

Desc outputs_last(const memory::dims& dims) {
  return {dims, memory::data_type::f32, memory::format_tag::bcda};
}

Desc transposed(const memory::dims& dims) { return {dims, memory::data_type::f32, memory::format_tag::ba}; }

Desc in_storage(const Desc& desc, Storage storage) { return with_type(desc, type_of(storage)); }

bool is_bfloat16(const Desc& desc) { return type_of(desc) == memory::data_type::bf16; }

bool has_bfloat16() {
  const memory::dims data{1, 16, 4, 4}, weights{16, 16, 3, 3};
  try {
    const Built built = convolution_forward(in_storage(channels_last(data), Storage::bfloat16), weights,
                                            channels_last(data), {3, 1, 1, 0});
    return built.implementation.find("ref") == std::string::npos;
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) throw;
    return false;
  }
}

bool describe(const Desc& desc, Layout& layout) {
#if DNNL_VERSION_MAJOR >= 3
  if (desc.get_format_kind() != memory::format_kind::blocked) return false;
  const auto dims = desc.get_dims(), strides = desc.get_strides();
  const auto inner_count = desc.get_inner_nblks();
#else
  if (desc.data.format_kind != dnnl_blocked) return false;
  const auto& blocking = desc.data.format_desc.blocking;
  const auto dims = desc.dims();
  const memory::dims strides(blocking.strides, blocking.strides + desc.data.ndims);
  const auto inner_count = blocking.inner_nblks;
#endif
  const auto count = [](memory::dim x) { return static_cast<std::size_t>(x); };
  layout.images = count(dims[0]);
  layout.channels = count(dims[1]);
  layout.pixels = dims.size() == 4 ? count(dims[2] * dims[3]) : 1;
  if (inner_count != 0) return false;
  const bool last = strides[1] == 1;
  layout.lanes = last ? layout.channels : 1;
  layout.blocks = last ? 1 : layout.channels;
  // Dense, in the order images, blocks, rows, columns, lanes.
  const bool dense_rows =
      dims.size() != 4 || layout.pixels == 1 ||
      (strides[3] == static_cast<memory::dim>(layout.lanes) && strides[2] == strides[3] * dims[3]);
  return dense_rows && count(strides[0]) == layout.blocks * layout.pixels * layout.lanes &&
         (layout.blocks == 1 || count(strides[1]) == layout.pixels * layout.lanes) &&
         desc.get_size() == layout.size() * sizeof(float);
}

Built convolution_forward(const Desc& src, const memory::dims& weights, const Desc& dst, Window window) {
  const auto desc = convolution_desc(src, any_of_type(weights, type_of(src)), dst, window);
  return finish<dnnl::convolution_forward>(desc, desc.src_desc(), desc.weights_desc(), desc.dst_desc());
}

Built integer_convolution_forward(const Desc& src, const memory::dims& weights, const Desc& dst,
                                  Window window) {
  const auto desc = convolution_desc(src, any_of_type(weights, memory::data_type::s8), dst, window);
  return finish<dnnl::convolution_forward>(desc, desc.src_desc(), desc.weights_desc(), desc.dst_desc());
}

bool sums_exactly(const Built& built) {
  return built.implementation.find("vnni") != std::string::npos ||
         built.implementation.find("amx") != std::string::npos;
}

Built convolution_backward_data(const Built& forward, Window window, Storage diff_src) {
  const auto desc = convolution_backward_desc<dnnl::convolution_backward_data>(
      forward, in_storage(forward.src, diff_src), weights_read(forward), window);
  return finish<dnnl::convolution_backward_data>(desc, desc.diff_src_desc(), desc.weights_desc(),
                                                 desc.diff_dst_desc());
}

Built convolution_backward_weights(const Built& forward, Window window) {
  const auto desc = convolution_backward_desc<dnnl::convolution_backward_weights>(
      forward, forward.src, weights_made(forward), window);
  return finish<dnnl::convolution_backward_weights>(desc, desc.src_desc(), desc.diff_weights_desc(),
                                                    desc.diff_dst_desc());
}

Built linear_forward(const Desc& src, const memory::dims& weights, const Desc& dst) {
  const auto desc = linear_desc(src, any_of_type(weights, type_of(src)), dst);
  return finish<dnnl::inner_product_forward>(desc, desc.src_desc(), desc.weights_desc(), desc.dst_desc());
}

Built linear_backward_data(const Built& forward, Storage diff_src) {
  const auto desc = backward_of<dnnl::inner_product_backward_data>(
      linear_desc(forward.src, forward.weights, forward.dst), in_storage(forward.src, diff_src),
      weights_read(forward), diff_dst_of(forward));
  return finish<dnnl::inner_product_backward_data>(desc, desc.diff_src_desc(), desc.weights_desc(),
                                                   desc.diff_dst_desc());
}

Built linear_backward_weights(const Built& forward) {
  const auto desc = backward_of<dnnl::inner_product_backward_weights>(
      linear_desc(forward.src, forward.weights, forward.dst), forward.src, weights_made(forward),
      diff_dst_of(forward));
  return finish<dnnl::inner_product_backward_weights>(desc, desc.src_desc(), desc.diff_weights_desc(),
                                                      desc.diff_dst_desc());
}

Built pool_forward(const Desc& src, const memory::dims& dst, Window window, bool maximum, bool training) {
  const auto desc = pool_desc(src, any(dst), window, maximum, training);
  Built built = finish<dnnl::pooling_forward>(desc, desc.src_desc(), Desc(), desc.dst_desc());
  if (maximum && training) built.workspace = desc.workspace_desc();
  return built;
}

Built pool_backward(const Built& forward, Window window, bool maximum) {
  const auto hint = pool_desc(forward.src, forward.dst, window, maximum, true);
  const WindowDims w(window);
  const auto how = maximum ? algorithm::pooling_max : algorithm::pooling_avg_exclude_padding;
#if DNNL_VERSION_MAJOR >= 3
  const memory::dims dilation{0, 0};
  const auto desc = backward_of<dnnl::pooling_backward>(hint, how, forward.src, forward.dst, w.stride,
                                                        w.kernel, dilation, w.padding, w.end_padding);
#else
  const auto desc = backward_of<dnnl::pooling_backward>(hint, how, forward.src, forward.dst, w.stride,
                                                        w.kernel, w.padding, w.end_padding);
#endif
  Built built = finish<dnnl::pooling_backward>(desc, desc.diff_src_desc(), Desc(), desc.diff_dst_desc());
  if (maximum) built.workspace = desc.workspace_desc();
  return built;
}

Built reorder(const Desc& from, const Desc& to) {
  const dnnl::reorder::primitive_desc desc(cpu(), from, cpu(), to, attributes());
  return finish<dnnl::reorder>(desc, from, Desc(), to);
}

void multiply(const ProductSize& size, const Matrix& left, const Matrix& right, float keep, float* dst,
              std::size_t stride) {
  const auto dim = [](std::size_t n) { return static_cast<memory::dim>(n); };
  const auto status = dnnl::sgemm(left.transpose ? 'T' : 'N', right.transpose ? 'T' : 'N', dim(size.rows),
                                  dim(size.columns), dim(size.terms), 1.0f, left.values, dim(left.stride),
                                  right.values, dim(right.stride), keep, dst, dim(stride));
  QTRAIN_CHECK(status == dnnl::status::success, "product of {} x {} x {} refused", size.rows, size.terms,
               size.columns);
}

Call::Call(const Built& built, const std::vector<Argument>& arguments, int threads)
    : primitive_(built.primitive) {
  scratch_ = built.scratchpad > 0;
  for (std::size_t k = 0; k < arguments.size(); ++k)
    if (arguments[k].tensor >= 0) varying_.emplace_back(k, arguments[k].tensor);
  threads_.resize(static_cast<std::size_t>(threads));
  for (PerThread& t : threads_) {
    t.stream = dnnl::stream(cpu());
    for (const Argument& a : arguments)
      t.memories.emplace_back(a.desc, cpu(), a.tensor >= 0 ? nullptr : const_cast<void*>(a.fixed));
    for (std::size_t k = 0; k < arguments.size(); ++k)
      t.arguments.push_back({arguments[k].role, t.memories[k].get()});
    if (!scratch_) continue;
    const auto bytes = static_cast<memory::dim>(built.scratchpad);
    t.memories.emplace_back(Desc({bytes}, memory::data_type::u8, memory::format_tag::a), cpu(), nullptr);
    t.arguments.push_back({DNNL_ARG_SCRATCHPAD, t.memories.back().get()});
  }
}

void Call::run(const RunContext& context) const {
  const PerThread& t = threads_[static_cast<std::size_t>(context.thread)];
  for (const auto& [index, tensor] : varying_)
    dnnl::error::wrap_c_api(dnnl_memory_set_data_handle(t.memories[index].get(), context.at(tensor)),
                            "could not point a primitive at its data");
  if (scratch_)
    dnnl::error::wrap_c_api(dnnl_memory_set_data_handle(t.memories.back().get(), context.scratchpad),
                            "could not point a primitive at its scratchpad");
  dnnl::error::wrap_c_api(dnnl_primitive_execute(primitive_.get(), t.stream.get(),
                                                 static_cast<int>(t.arguments.size()), t.arguments.data()),
                          "could not execute a primitive");
}

Reorder::Reorder(const Desc& from, const void* from_data, const Desc& to, void* to_data)
    : stream_(cpu()), from_(from, cpu(), const_cast<void*>(from_data)), to_(to, cpu(), to_data) {
  const dnnl::reorder::primitive_desc desc(cpu(), from, cpu(), to, attributes());
  reorder_ = dnnl::reorder(desc);
  scratchpad_ = memory(desc.scratchpad_desc(), cpu());
}

void Reorder::run() const {
  dnnl::stream stream = stream_;
  reorder_.execute(stream, {{DNNL_ARG_FROM, from_}, {DNNL_ARG_TO, to_}, {DNNL_ARG_SCRATCHPAD, scratchpad_}});
}

}  // namespace qtrain::engine::onednn
