#include "dist/transport.hpp"

#include <vector>

namespace qtrain::dist {
namespace {

class Simulated final : public Transport {
 public:
  explicit Simulated(int workers) : Transport(workers, 0, workers) {}
  void all_gather(std::span<std::byte> /*rows*/) override {}
  void gather(std::span<std::byte> /*rows*/) override {}
  void broadcast(std::span<std::byte> /*bytes*/) override {}
  void sum(std::span<float> /*values*/, bool /*in_all*/) override {}
  void largest(std::span<float> /*values*/) override {}
  void abandon(int /*exit_code*/) override {}
};

}  // namespace

std::unique_ptr<Transport> make_simulated(int workers) { return std::make_unique<Simulated>(workers); }

Agreement agree(Transport& transport, const std::string& text) {
  std::uint64_t size = text.size();
  transport.broadcast(std::as_writable_bytes(std::span(&size, 1)));
  Agreement result;
  result.leader = text;
  result.leader.resize(size);
  transport.broadcast(std::as_writable_bytes(std::span(result.leader)));
  std::vector<std::uint8_t> differs(static_cast<std::size_t>(transport.workers()), 0);
  differs[static_cast<std::size_t>(transport.first())] = text == result.leader ? 0 : 1;
  transport.all_gather(std::as_writable_bytes(std::span(differs)));
  for (std::size_t worker = 0; result.same && worker < differs.size(); ++worker)
    if (differs[worker] != 0)
      result = {.same = false, .worker = static_cast<int>(worker), .leader = result.leader};
  return result;
}

}  // namespace qtrain::dist
