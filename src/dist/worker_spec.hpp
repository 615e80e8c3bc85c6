#pragma once
#include <memory>
#include <string>

#include "dist/transport.hpp"
#include "spec/reader.hpp"

namespace qtrain::dist {

enum class Protocol {
  all_reduce,        ///< every worker has everything, and gets the messages of all others
  parameter_server,  ///< the leading process has latents and optimizer; workers get quantized weights only
};

/// The `workers:` section.
struct WorkerSpec {
  int count = 1;
  std::string transport = "auto";
  Protocol protocol = Protocol::all_reduce;
  bool batch_each = false;      ///< dataset.batch_size is of one worker, not of all
  bool fixed_sharding = false;  ///< each worker has images of its own
  double rate_factor = 1;       ///< of the learning rate
  bool mean_statistics = true;  ///< running statistics for evaluation: mean of all workers', or the first's
  void read(spec::Reader keys);
};

std::unique_ptr<Transport> make_transport(const WorkerSpec& spec);

}  // namespace qtrain::dist
