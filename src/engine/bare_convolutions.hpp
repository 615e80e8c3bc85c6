#pragma once
#include "model/graph.hpp"

namespace qtrain::engine {

/// Seconds that oneDNN alone needs for all convolutions of a network at one batch, each primitive parallel
/// over `threads` by oneDNN itself: the bound that a training step is held against.
struct BareConvolutions {
  double forward = 0;
  double backward_data = 0;  ///< without the first layer's, which training does not need
  double backward_weights = 0;
  double sum() const { return forward + backward_data + backward_weights; }
};

/// Times every distinct convolution of the graph: the best of nhwc and the layout oneDNN itself prefers, the
/// median of `rounds` runs of each. Restores one thread a caller afterwards.
BareConvolutions time_bare_convolutions(const model::Graph& graph, int batch, int threads, int rounds);

}  // namespace qtrain::engine
