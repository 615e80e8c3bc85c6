#include "dist/worker_spec.hpp"

#include <algorithm>
#include <cmath>

namespace qtrain::dist {

void WorkerSpec::read(spec::Reader keys) {
  std::string exchange = "all_reduce", batch = "total", sharding = "shuffled", rate = "as_is",
              statistics = "mean";
  count = std::max(job_processes(), 1);
  keys.field("count", count, spec::between(1, 1024),
             "workers that share a step; unless given, as many as MPI started processes, else 1");
  keys.choice(
      "transport", transport, {"auto", "simulated", "mpi"},
      "all in one process, or one a process of an MPI job; auto: mpi when started by it; changes no result");
  keys.choice("protocol", exchange, {"all_reduce", "parameter_server"},
              "who gets gradients: every worker, or a server that sends quantized weights back");
  keys.choice("batch", batch, {"total", "each"},
              "whether dataset.batch_size counts images of all workers or of each");
  keys.choice("sharding", sharding, {"shuffled", "fixed"},
              "whether workers share each epoch's order of images, or keep to images of their own");
  keys.choice("learning_rate", rate, {"as_is", "linear", "sqrt"},
              "the optimizer's rate as it is, times the number of workers, or times its square root");
  keys.choice(
      "batch_norm", statistics, {"mean", "first"},
      "running statistics for evaluation: the mean of all workers', or those of the first; batches are "
      "normalised worker by worker");
  protocol = exchange == "all_reduce" ? Protocol::all_reduce : Protocol::parameter_server;
  batch_each = batch == "each";
  fixed_sharding = sharding == "fixed";
  rate_factor = rate == "as_is" ? 1 : rate == "linear" ? count : std::sqrt(count);
  mean_statistics = statistics == "mean";
  keys.finish();
}

std::unique_ptr<Transport> make_transport(const WorkerSpec& spec) {
  const bool mpi = spec.transport == "mpi" || (spec.transport == "auto" && job_processes() > 0);
  return mpi ? make_mpi(spec.count) : make_simulated(spec.count);
}

}  // namespace qtrain::dist
