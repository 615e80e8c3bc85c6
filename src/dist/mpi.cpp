// Errors of MPI itself end the job with MPI's own message.
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/error.hpp"
#include "dist/transport.hpp"

#ifdef QTRAIN_MPI
#include <mpi.h>

#include <algorithm>
#include <vector>

#include "base/cast.hpp"
#endif

namespace qtrain::dist {

int job_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const char* text = std::getenv(name);
    const bool slurm = std::strncmp(name, "SLURM", 5) == 0;
    if (text == nullptr || (slurm && std::getenv("PMIX_RANK") == nullptr)) continue;
    int processes = 0;
    std::from_chars(text, text + std::strlen(text), processes);
    if (processes > 0) return processes;
  }
  return 0;
}

#ifdef QTRAIN_MPI
namespace {

class Mpi final : public Transport {
 public:
  Mpi(int processes, int rank) : Transport(processes, rank, 1), mine_(narrow<std::size_t>(rank)) {}
  ~Mpi() override { MPI_Finalize(); }

  void all_gather(std::span<std::byte> rows) override {
    MPI_Allgather(MPI_IN_PLACE, 0, MPI_BYTE, rows.data(), row_size(rows), MPI_BYTE, MPI_COMM_WORLD);
  }
  void gather(std::span<std::byte> rows) override {
    const int size = row_size(rows);
    const void* own = leads() ? MPI_IN_PLACE : rows.data() + mine_ * narrow<std::size_t>(size);
    MPI_Gather(own, size, MPI_BYTE, rows.data(), size, MPI_BYTE, 0, MPI_COMM_WORLD);
  }
  void broadcast(std::span<std::byte> bytes) override {
    MPI_Bcast(bytes.data(), narrow<int>(bytes.size()), MPI_BYTE, 0, MPI_COMM_WORLD);
  }
  // Each process adds up one part of the values for all: the order of the sum is that of the workers, and a
  // value crosses the wire twice, whatever the number of workers.
  void sum(std::span<float> values, bool in_all) override {
    const std::size_t own = divide(values.size());
    MPI_Alltoallv(values.data(), sizes_.data(), begins_.data(), MPI_FLOAT, parts_.data(), own_sizes_.data(),
                  own_begins_.data(), MPI_FLOAT, MPI_COMM_WORLD);
    float* const sums = values.data() + begins_[mine_];
    std::copy_n(parts_.data(), own, sums);
    for (std::size_t rank = 1; rank < sizes_.size(); ++rank)
      for (std::size_t i = 0; i < own; ++i) sums[i] += parts_[rank * own + i];
    if (in_all)
      MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_FLOAT, values.data(), sizes_.data(), begins_.data(), MPI_FLOAT,
                     MPI_COMM_WORLD);
    else
      MPI_Gatherv(leads() ? MPI_IN_PLACE : sums, narrow<int>(own), MPI_FLOAT, values.data(), sizes_.data(),
                  begins_.data(), MPI_FLOAT, 0, MPI_COMM_WORLD);
  }
  void largest(std::span<float> values) override {
    MPI_Allreduce(MPI_IN_PLACE, values.data(), narrow<int>(values.size()), MPI_FLOAT, MPI_MAX,
                  MPI_COMM_WORLD);
  }
  void abandon(int exit_code) override {
    if (!alone()) MPI_Abort(MPI_COMM_WORLD, exit_code);
  }

 private:
  int row_size(std::span<std::byte> rows) const {
    return narrow<int>(rows.size() / static_cast<std::size_t>(workers()));
  }

  /// Cuts `size` values into one part a process; returns the size of this one's.
  std::size_t divide(std::size_t size) {
    const auto processes = static_cast<std::size_t>(workers());
    const std::size_t part = (size + processes - 1) / processes;
    begins_.resize(processes);
    sizes_.resize(processes);
    for (std::size_t rank = 0; rank < processes; ++rank) {
      const std::size_t begin = std::min(rank * part, size);
      begins_[rank] = narrow<int>(begin);
      sizes_[rank] = narrow<int>(std::min(begin + part, size) - begin);
    }
    const std::size_t own = narrow<std::size_t>(sizes_[mine_]);
    parts_.resize(own * processes);
    own_sizes_.assign(processes, sizes_[mine_]);
    own_begins_.resize(processes);
    for (std::size_t rank = 0; rank < processes; ++rank) own_begins_[rank] = narrow<int>(rank * own);
    return own;
  }

  std::size_t mine_;
  std::vector<float> parts_;
  std::vector<int> begins_, sizes_, own_begins_, own_sizes_;
};

}  // namespace

std::unique_ptr<Transport> make_mpi(int workers) {
  int level = 0, processes = 0, rank = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level);
  MPI_Comm_size(MPI_COMM_WORLD, &processes);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  auto transport = std::make_unique<Mpi>(processes, rank);
  if (workers != processes)
    fail(ExitCode::usage,
         "workers.count is {}, but MPI started {} processes: start as many, or leave workers.count out",
         workers, processes);
  return transport;
}
#else
std::unique_ptr<Transport> make_mpi(int /*workers*/) {
  fail(ExitCode::usage,
       "this program was built without MPI: install libopenmpi-dev and build again, or set workers.transport "
       "to "
       "simulated");
}
#endif

}  // namespace qtrain::dist
