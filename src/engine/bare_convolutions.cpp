#include "engine/bare_convolutions.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>
#include <vector>

#include "engine/measure.hpp"
#include "engine/onednn.hpp"

namespace qtrain::engine {

namespace {

using dnnl::memory;
using onednn::Built;

BareConvolutions time_one(const memory::dims& src, const memory::dims& weights, const memory::dims& dst,
                          onednn::Window window, bool first, int rounds) {
  BareConvolutions best{.forward = std::numeric_limits<double>::infinity(),
                        .backward_data = std::numeric_limits<double>::infinity(),
                        .backward_weights = std::numeric_limits<double>::infinity()};
  for (const auto layout : {onednn::any, onednn::channels_last}) {
    const Built forward = onednn::convolution_forward(layout(src), weights, layout(dst), window);
    best.forward =
        std::min(best.forward, median_seconds(forward, DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, rounds));
    const Built backward_weights = onednn::convolution_backward_weights(forward, window);
    best.backward_weights = std::min(
        best.backward_weights,
        median_seconds(backward_weights, DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST, rounds));
    if (first) continue;
    best.backward_data =
        std::min(best.backward_data,
                 median_seconds(onednn::convolution_backward_data(forward, window, Storage::float32),
                                DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST, rounds));
  }
  if (first) best.backward_data = 0;
  return best;
}

}  // namespace

BareConvolutions time_bare_convolutions(const model::Graph& graph, int batch, int threads, int rounds) {
  onednn::use_threads(threads);
  const auto shapes = model::infer_shapes(graph);
  const auto dims_of = [&](int layer) {
    const Shape& s = shapes[static_cast<std::size_t>(layer)];
    return memory::dims{batch, s[0], s[1], s[2]};
  };
  using Key = std::tuple<memory::dims, memory::dims, onednn::Window, bool>;
  std::map<Key, BareConvolutions> known;
  BareConvolutions total;
  for (const auto& parameter : model::parameters(graph)) {
    const model::Layer& layer = graph.layers[static_cast<std::size_t>(parameter.layer)];
    if (layer.op != model::Op::convolution || parameter.kind != model::Parameter::Kind::weight) continue;
    const int input = layer.inputs[0];
    const bool first = graph.layers[static_cast<std::size_t>(input)].op == model::Op::input;
    const onednn::Window window = onednn::window_of(layer);
    const Key key{dims_of(input), dims_of(parameter.layer), window, first};
    auto found = known.find(key);
    if (found == known.end())
      found = known
                  .emplace(key, time_one(std::get<0>(key), parameter.shape, std::get<1>(key), window, first,
                                         rounds))
                  .first;
    total.forward += found->second.forward;
    total.backward_data += found->second.backward_data;
    total.backward_weights += found->second.backward_weights;
  }
  onednn::use_threads(1);
  return total;
}

}  // namespace qtrain::engine
