#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "train/experiment.hpp"

// Training that is stopped and goes on.

namespace qtrain::train::test {

inline const Words kSmall = {"optimizer.name=adam", "optimizer.learning_rate=0.01", "dataset.limit.train=96"};

/// Three epochs straight, and with a stop within the second one: both must end in the same bits.
inline void train_and_resume(const Words& words) {
  const Experiment experiment(words + kSmall);
  Trainer whole(experiment.stage(3), experiment.loaded.dataset);
  std::vector<EpochRecord> records;
  while (!whole.finished()) records.push_back(*whole.run_epoch(go_on));
  for (const EpochRecord& record : records) {
    CHECK(std::isfinite(record.train_loss));
    CHECK(std::isfinite(record.quantized_val_loss));
  }

  int batches = 0;
  const Watch stop = [&](const Progress& progress) { return !progress.training || ++batches != 4; };
  Trainer first(experiment.stage(3), experiment.loaded.dataset);
  std::vector<EpochRecord> resumed;
  while (const std::optional<EpochRecord> record = first.run_epoch(stop)) resumed.push_back(*record);
  Trainer second(experiment.stage(3, 2), experiment.loaded.dataset);
  second.restore({.tensors = first.save(), .metadata = {}});
  while (!second.finished()) resumed.push_back(*second.run_epoch(go_on));
  REQUIRE(resumed.size() == records.size());
  for (std::size_t i = 0; i < records.size(); ++i) CHECK(numbers(resumed[i]) == numbers(records[i]));
  CHECK(same_bytes(second.save(), whole.save()));

  whole.finalize();
  for (const engine::ParameterSlot& slot : whole.engine().slots()) {
    if (slot.method == nullptr || slot.method->bits() > 8) continue;
    const std::span<const float> w = whole.engine().used(slot);
    const std::size_t groups = slot.method->scale_count(), size = w.size() / groups;
    for (std::size_t group = 0; group < groups; ++group) {
      const std::span<const float> part = w.subspan(group * size, size);
      CHECK(std::set<float>(part.begin(), part.end()).size() <= std::size_t{1} << slot.method->bits());
    }
  }
}

}  // namespace qtrain::train::test
