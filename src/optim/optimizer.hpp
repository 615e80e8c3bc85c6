#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "spec/reader.hpp"

namespace qtrain::optim {

/// A run of parameters updated by one rule; all spans have the same length.
struct Slice {
  std::span<float> u;                       ///< parameters, updated in place
  std::span<const float> g;                 ///< gradient
  std::span<const std::span<float>> slots;  ///< the optimizer's own arrays (momentum, moments), one span each
  double learning_rate = 0;
  double weight_decay = 0;  ///< 0 for tensors that do not decay
  std::int64_t step = 0;    ///< 0-based
};

/// A base optimizer: the rule without its state, which the caller owns.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  virtual std::vector<std::string> slot_names() const = 0;
  /// Index into slots of the second moment v (Adam), or -1.
  virtual int second_moment_slot() const { return -1; }
  /// One pass over memory, value by value: a slice may be any part of the parameters. Never allocates.
  virtual void update(const Slice& slice) const = 0;
};

/// Where training stands, for a schedule.
struct Progress {
  std::int64_t step = 0;  ///< 0-based, in the stage
  std::int64_t steps_per_epoch = 1;
  std::int64_t epochs = 1;    ///< of the stage
  std::int64_t plateaus = 0;  ///< epochs of it whose validation loss was not below the lowest before
};

/// Learning-rate factor over time; rate = base * factor.
class Schedule {
 public:
  virtual ~Schedule() = default;
  virtual double factor(const Progress& progress) const = 0;
  virtual bool wants_validation() const { return false; }  ///< goes by Progress::plateaus
};

struct OptimizerEntry {
  const char* name;
  std::unique_ptr<Optimizer> (*read)(spec::Reader& keys);
};
struct ScheduleEntry {
  const char* name;
  std::unique_ptr<Schedule> (*read)(spec::Reader& keys);
};
std::span<const OptimizerEntry> optimizers();
std::span<const ScheduleEntry> schedules();

/// Reads `train.optimizer`: name, learning_rate, weight_decay, decay_only, clip_norm, clip_value,
/// restart_epochs and the rule's own keys.
struct OptimizerSpec {
  std::string name = "sgd";
  double learning_rate = 0.1;
  double weight_decay = 0;
  std::vector<std::string> decay_only;  ///< kinds of parameters or patterns of names; empty: all
  double clip_norm = 0;                 ///< 0: off
  double clip_value = 0;                ///< 0: off
  int restart_epochs = 0;               ///< its state is new after so many; 0: never
  std::unique_ptr<Optimizer> rule;
  void read(spec::Reader keys);
  /// Whether it moves by -learning_rate times the gradient, weight decay aside: neither state nor clipping.
  bool is_plain() const;
};

/// Cuts the gradient g that the parts are together, before the rule gets it: Pascanu, Mikolov, Bengio, "On
/// the difficulty of training recurrent neural networks", ICML 2013 (arXiv:1211.5063), Algorithm 1.
///
///   g_i = min(max(g_i, -clip_value), clip_value)      clip_value > 0; before the next
///   g   = clip_norm / |g| g   if |g| > clip_norm      clip_norm > 0; |g|: Euclidean, over all parts
void clip_gradient(const OptimizerSpec& optimizer, std::span<const std::span<float>> parts);

/// Reads `train.schedule`: name, the schedule's own keys, and `warmup_epochs` (linear from 0; multiplies any
/// schedule).
struct ScheduleSpec {
  std::string name = "constant";
  double warmup_epochs = 0;
  std::unique_ptr<Schedule> schedule;
  void read(spec::Reader keys);
  double factor(const Progress& progress) const;
};

}  // namespace qtrain::optim
