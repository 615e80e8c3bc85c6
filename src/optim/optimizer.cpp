#include "optim/optimizer.hpp"

#include <algorithm>

namespace qtrain::optim {

namespace rules {
#define OPTIMIZER(name) std::unique_ptr<Optimizer> read_##name(spec::Reader& keys);
#include "optim/optimizers.def"
#undef OPTIMIZER
}  // namespace rules

namespace curves {
#define SCHEDULE(name) std::unique_ptr<Schedule> read_##name(spec::Reader& keys);
#include "optim/schedules.def"
#undef SCHEDULE
}  // namespace curves

namespace {

constexpr OptimizerEntry kOptimizers[] = {
#define OPTIMIZER(name) {#name, &rules::read_##name},
#include "optim/optimizers.def"
#undef OPTIMIZER
};

constexpr ScheduleEntry kSchedules[] = {
#define SCHEDULE(name) {#name, &curves::read_##name},
#include "optim/schedules.def"
#undef SCHEDULE
};

/// Reads the word under `name` as the name of a row into `value`; returns the row.
template <class Entry>
const Entry& pick(spec::Reader& keys, std::string& value, std::span<const Entry> table,
                  const char* sentence) {
  std::vector<std::string> names;
  for (const Entry& entry : table) names.emplace_back(entry.name);
  keys.choice("name", value, names, sentence);
  const auto row = std::ranges::find_if(table, [&](const Entry& entry) { return entry.name == value; });
  return row == table.end() ? table.front() : *row;
}

}  // namespace

std::span<const OptimizerEntry> optimizers() { return kOptimizers; }
std::span<const ScheduleEntry> schedules() { return kSchedules; }

void OptimizerSpec::read(spec::Reader keys) {
  const OptimizerEntry& entry = pick(keys, name, optimizers(), "update rule");
  keys.field("learning_rate", learning_rate, spec::positive, "rate before the schedule's factor");
  keys.field("weight_decay", weight_decay, spec::non_negative, "L2 decay, added to the gradient");
  keys.field("decay_only", decay_only,
             "what decays: weights, biases, batch_norm, or patterns of names; empty: all of these");
  keys.field("clip_norm", clip_norm, spec::non_negative,
             "the gradient of all learned values together is scaled down to this norm; 0: it is not");
  keys.field("clip_value", clip_value, spec::non_negative,
             "every gradient is cut to [-clip_value, clip_value], before clip_norm; 0: it is not");
  keys.field(
      "restart_epochs", restart_epochs, spec::non_negative,
      "epochs after which its momentum or moments start anew, as ProxQuant's code does each epoch; 0: never");
  rule = entry.read(keys);
  keys.finish();
}

bool OptimizerSpec::is_plain() const {
  return rule->slot_names().empty() && clip_norm == 0 && clip_value == 0;
}

void ScheduleSpec::read(spec::Reader keys) {
  const ScheduleEntry& entry = pick(keys, name, schedules(), "how the learning rate changes");
  keys.field("warmup_epochs", warmup_epochs, spec::non_negative,
             "epochs in which the rate grows linearly from 0");
  schedule = entry.read(keys);
  keys.finish();
}

// Step t of W warm-up steps counts (t + 1) / W, so that the first step is not lost.
double ScheduleSpec::factor(const Progress& progress) const {
  const double warmup_steps = warmup_epochs * static_cast<double>(progress.steps_per_epoch);
  const double steps = static_cast<double>(progress.step) + 1;
  const double ramp = steps < warmup_steps ? steps / warmup_steps : 1;
  return ramp * schedule->factor(progress);
}

}  // namespace qtrain::optim
