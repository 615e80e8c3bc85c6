#pragma once
#include <functional>
#include <unordered_map>

#include "engine/onednn.hpp"

namespace qtrain::engine {

/// Median seconds of `rounds` runs on the calling thread, after two that do not count.
double median_seconds(const std::function<void()>& work, int rounds);

/// A oneDNN call on memory of its own, zeroed. Roles are DNNL_ARG_...
class BareCall {
 public:
  BareCall(const onednn::Built& built, int src_role, int weights_role, int dst_role);
  void run();

 private:
  dnnl::primitive primitive_;
  dnnl::stream stream_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

/// The same of such a call.
double median_seconds(const onednn::Built& built, int src_role, int weights_role, int dst_role, int rounds);

}  // namespace qtrain::engine
