#include "train/trainer.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "train/experiment.hpp"
#include "train/weights.hpp"

namespace qtrain::train {
namespace {

using namespace test;

TEST_CASE("training lowers the loss and binary weights stay binary") {
  const Experiment experiment;
  Trainer trainer(experiment.stage(6), experiment.loaded.dataset);
  std::vector<EpochRecord> records;
  while (!trainer.finished()) records.push_back(*trainer.run_epoch(go_on));
  CHECK(records.size() == 6);
  CHECK(records.back().train_loss < records.front().train_loss);
  CHECK(records.back().epoch == 6);
  REQUIRE(records.back().change);
  CHECK(records.back().change->sign_changes > 0);
  CHECK(records.back().change->layer_sign_changes.size() == 2);
  for (const engine::ParameterSlot& slot : trainer.engine().slots())
    if (slot.method != nullptr)
      for (const float w : trainer.engine().used(slot)) REQUIRE(std::abs(w) == 1.0f);
}

TEST_CASE("stopped after any batch, saved and restored elsewhere, training goes on to the same bits") {
  for (const auto& [rule, decay] : {std::pair{kSgd, 0.0}, std::pair{kAdam, 0.0}, std::pair{kAdam, 0.5}}) {
    Experiment experiment(kQuantized + rule);
    experiment.average_decay = decay;
    Trainer whole(experiment.stage(), experiment.loaded.dataset);
    std::vector<EpochRecord> expected;
    while (!whole.finished()) expected.push_back(*whole.run_epoch(go_on));
    const std::vector<NamedTensor> end = whole.save();
    for (const int stop_after : {1, 4, 5, 6, 7, 9}) {
      int batches = 0;
      const Watch stop = [&](const Progress&) { return ++batches != stop_after; };
      Trainer first(experiment.stage(), experiment.loaded.dataset);
      std::vector<EpochRecord> records;
      while (const std::optional<EpochRecord> record = first.run_epoch(stop)) records.push_back(*record);
      Trainer second(experiment.stage(2, 2), experiment.loaded.dataset);
      second.restore({.tensors = first.save(), .metadata = {}});
      while (!second.finished()) records.push_back(*second.run_epoch(go_on));
      REQUIRE(records.size() == expected.size());
      for (std::size_t i = 0; i < records.size(); ++i) CHECK(numbers(records[i]) == numbers(expected[i]));
      CHECK_MESSAGE(same_bytes(second.save(), end), "stopped after " << stop_after);
    }
  }
}

TEST_CASE("cifarnet learns with all that its papers train it with, and resumes to the same bits") {
  Experiment experiment({"model={name: cifarnet, filters: 16}",
                         "optimizer={name: adam, learning_rate: 1.0e-3}",
                         "dataset.augment={crop: 24, flip: true, brightness: 63, contrast: [0.2, 1.8]}",
                         "dataset.standardize=image"});
  experiment.average_decay = 0.9;
  Trainer whole(experiment.stage(16), experiment.loaded.dataset);
  std::vector<EpochRecord> expected;
  while (!whole.finished()) expected.push_back(*whole.run_epoch(go_on));
  CHECK(expected.back().train_loss < 0.95 * expected.front().train_loss);

  int batches = 0;
  const Watch stop = [&](const Progress& progress) { return !progress.training || ++batches != 8; };
  Trainer first(experiment.stage(16), experiment.loaded.dataset);
  std::vector<EpochRecord> records;
  while (const std::optional<EpochRecord> record = first.run_epoch(stop)) records.push_back(*record);
  Trainer second(experiment.stage(16, 2), experiment.loaded.dataset);
  second.restore({.tensors = first.save(), .metadata = {}});
  while (!second.finished()) records.push_back(*second.run_epoch(go_on));
  REQUIRE(records.size() == expected.size());
  for (std::size_t i = 0; i < records.size(); ++i) CHECK(numbers(records[i]) == numbers(expected[i]));
  CHECK(same_bytes(second.save(), whole.save()));
}

TEST_CASE("an optimizer that restarts each epoch is a new one in each") {
  const Experiment restarts(kAdam + Words{"optimizer.restart_epochs=1"}), plain(kAdam);
  Trainer whole(restarts.stage(2), restarts.loaded.dataset);
  whole.run_epoch(go_on);
  Trainer first(plain.stage(1), plain.loaded.dataset);
  first.run_epoch(go_on);
  Stage next = plain.stage(1);
  next.first_epoch = 1;
  next.first_step = 5;
  Trainer second(std::move(next), plain.loaded.dataset);
  second.start_from(first.carried(), "the first epoch");
  CHECK(numbers(*whole.run_epoch(go_on)) == numbers(*second.run_epoch(go_on)));
}

TEST_CASE("a checkpoint that does not fit is refused") {
  const Experiment experiment;
  Trainer trainer(experiment.stage(), experiment.loaded.dataset);
  SafetensorsFile file{.tensors = trainer.save(), .metadata = {}};
  const auto refused = [&](const char* with) {
    CHECK_THROWS_WITH_AS(trainer.restore(file), doctest::Contains(with), Error);
  };
  file.tensors.pop_back();
  refused("trainer/loss");
  file.tensors = trainer.save();
  file.tensors[0] = NamedTensor::of(file.tensors[0].name, {1}, std::vector<float>{1});
  refused("has 1 values");
  file.tensors = trainer.save();
  const std::vector<std::int64_t> impossible = {0, 1, 99, 1, 0, 0, 0, 0, 0, 0, 0};
  for (NamedTensor& tensor : file.tensors)
    if (tensor.name == "trainer/position")
      tensor = NamedTensor::of(tensor.name, {11}, std::span<const std::int64_t>(impossible));
  refused("cannot be");
}

TEST_CASE("a learning rate without bound ends as diverged, with step and layer") {
  const Experiment experiment({"optimizer.learning_rate=1e30", "model.batch_norm=false"});
  Trainer trainer(experiment.stage(), experiment.loaded.dataset);
  try {
    while (!trainer.finished()) trainer.run_epoch(go_on);
    FAIL("must diverge");
  } catch (const Diverged& diverged) {
    CHECK(diverged.code() == ExitCode::diverged);
    CHECK(diverged.epoch == 1);
    CHECK(diverged.step >= 2);
    CHECK_FALSE(diverged.layer.empty());
  }
}

TEST_CASE("weights are carried by name, and misfits are listed") {
  const Experiment experiment;
  Trainer source(experiment.stage(1), experiment.loaded.dataset);
  source.run_epoch(go_on);
  const std::vector<NamedTensor> tensors = carried_tensors(source.engine());
  Trainer target(experiment.stage(1), experiment.loaded.dataset);
  target.start_from(tensors, "the file");
  CHECK(same_bytes(carried_tensors(target.engine()), tensors));
  const Experiment larger(kQuantized + kSgd + Words{"model.widths=[24, 8]"});
  Trainer other(larger.stage(1), larger.loaded.dataset);
  CHECK_THROWS_WITH_AS(other.start_from(tensors, "the file"),
                       doctest::Contains("fc3.weight, fc3.bias, bn2.running_mean"), Error);
  CHECK_THROWS_WITH_AS(other.start_from(tensors, "the file"), doctest::Contains("fc2.weight (is"), Error);
  CHECK_THROWS_WITH_AS(target.start_from(carried_tensors(other.engine()), "the file"),
                       doctest::Contains("not in this model: bn2.beta"), Error);
}

}  // namespace
}  // namespace qtrain::train
