#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace qtrain::engine {

using TensorId = int;

/// Where a planned tensor lives.
enum class Base { shard, thread, images };
struct Address {
  Base base = Base::shard;
  std::size_t offset = 0;  ///< bytes
};

/// What a step knows when it runs on one shard.
struct RunContext {
  const Address* addresses = nullptr;    ///< of the program, by TensorId
  std::array<std::byte*, 3> bases{};     ///< by Base
  std::byte* scratchpad = nullptr;       ///< of this thread, for primitives
  const std::int32_t* labels = nullptr;  ///< of this shard
  int shard = 0;
  std::uint32_t image = 0;  ///< the shard's first, in the step's batch over all workers
  std::uint32_t step = 0;   ///< of the optimizer
  int thread = 0;
  float inverse_batch = 1;  ///< 1 / targets of the whole batch

  float* at(TensorId id) const { return reinterpret_cast<float*>(raw(id)); }
  std::byte* raw(TensorId id) const {
    const Address& a = addresses[id];
    return bases[static_cast<std::size_t>(a.base)] + a.offset;
  }
};

}  // namespace qtrain::engine
