#include "engine/measure.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

namespace qtrain::engine {

double median_seconds(const std::function<void()>& work, int rounds) {
  std::vector<double> seconds;
  for (int round = -2; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    work();
    if (round >= 0)
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::ranges::nth_element(seconds, seconds.begin() + rounds / 2);
  return seconds[static_cast<std::size_t>(rounds / 2)];
}

BareCall::BareCall(const onednn::Built& built, int src_role, int weights_role, int dst_role)
    : primitive_(built.primitive), stream_(onednn::cpu()) {
  using dnnl::memory;
  const auto add = [&](int role, const onednn::Desc& desc) {
    const memory zeroed(desc, onednn::cpu());
    std::memset(zeroed.get_data_handle(), 0, desc.get_size());
    arguments_.emplace(role, zeroed);
  };
  add(src_role, built.src);
  add(weights_role, built.weights);
  add(dst_role, built.dst);
  add(DNNL_ARG_SCRATCHPAD,
      onednn::Desc({static_cast<memory::dim>(std::max<std::size_t>(built.scratchpad, 1))},
                   memory::data_type::u8, memory::format_tag::a));
}

void BareCall::run() {
  primitive_.execute(stream_, arguments_);
  stream_.wait();
}

double median_seconds(const onednn::Built& built, int src_role, int weights_role, int dst_role, int rounds) {
  BareCall call(built, src_role, weights_role, dst_role);
  return median_seconds([&] { call.run(); }, rounds);
}

}  // namespace qtrain::engine
