#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/error.hpp"

namespace qtrain::dist {

/// How the workers of a job reach each other. Each process has the workers [first(), first() + local());
/// every process of a job calls the same functions in the same order. Results are the same bits in all
/// processes, and for any division of the workers among processes.
class Transport {
 public:
  virtual ~Transport() = default;

  int workers() const { return workers_; }
  int first() const { return first_; }
  int local() const { return local_; }
  bool alone() const { return local_ == workers_; }  ///< the only process
  bool leads() const { return first_ == 0; }         ///< has worker 0: writes the files, is the server

  /// `rows` holds workers() rows of equal size, those of this process filled in. Afterwards all of them are:
  /// in every process, or in the leading one.
  virtual void all_gather(std::span<std::byte> rows) = 0;
  virtual void gather(std::span<std::byte> rows) = 0;
  /// The leading process's bytes to all.
  virtual void broadcast(std::span<std::byte> bytes) = 0;
  /// Element by element, ((x_0 + x_1) + x_2) + ... over the processes; left in all, or in the leading one.
  virtual void sum(std::span<float> values, bool in_all) = 0;
  /// Element by element, the largest of all processes; left in all.
  virtual void largest(std::span<float> values) = 0;
  /// Ends the other processes after a failure of this one. Does not return where there are others.
  virtual void abandon(int exit_code) = 0;

 protected:
  Transport(int workers, int first, int local) : workers_(workers), first_(first), local_(local) {}

 private:
  int workers_, first_, local_;
};

/// All workers in this process, one after the other.
std::unique_ptr<Transport> make_simulated(int workers);

/// One worker a process of an MPI job. An Error (usage) if the program was built without MPI, or the job has
/// another number of processes than `workers`.
std::unique_ptr<Transport> make_mpi(int workers);
/// Processes of the MPI job that this one was started in, by mpirun or by srun; 0: in none.
int job_processes();

/// An error that every process of the job has found: none is left waiting for another.
class CommonError final : public Error {
 public:
  using Error::Error;
};

/// Whether all processes have the same text, and what the leading one has.
struct Agreement {
  bool same = true;
  int worker = 0;      ///< the first that differs
  std::string leader;  ///< text of the leading process
};
Agreement agree(Transport& transport, const std::string& text);

}  // namespace qtrain::dist
