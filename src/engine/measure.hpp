#pragma once
#include <functional>

#include "engine/onednn.hpp"

namespace qtrain::engine {

/// Median seconds of `rounds` runs on the calling thread, after two that do not count.
double median_seconds(const std::function<void()>& work, int rounds);

/// The same of a oneDNN call on memory of its own, zeroed. Roles are DNNL_ARG_...
double median_seconds(const onednn::Built& built, int src_role, int weights_role, int dst_role, int rounds);

}  // namespace qtrain::engine
