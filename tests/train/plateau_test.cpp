// The schedule that goes by the validation loss: what the trainer counts, and that it is part of the state.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "train/resume.hpp"

namespace qtrain::train {
namespace {

using namespace test;

const Words kPlateau = {"schedule={name: plateau, divisor: 2}", "model.batch_norm=false",
                        "optimizer={name: sgd, learning_rate: 0.7, momentum: 0.9}"};

std::vector<EpochRecord> train(const Experiment& experiment, int epochs) {
  Trainer trainer(experiment.stage(epochs), experiment.loaded.dataset);
  std::vector<EpochRecord> records;
  while (!trainer.finished()) records.push_back(*trainer.run_epoch(go_on));
  return records;
}

/// Checks each epoch's rate against the losses before it; returns how often it was halved.
int check_rates(const std::vector<EpochRecord>& records) {
  double rate = 0.7, lowest = std::numeric_limits<double>::infinity();
  int halved = 0;
  for (const EpochRecord& record : records) {
    CHECK(record.learning_rate == doctest::Approx(rate).epsilon(1e-12));
    const bool better = record.val_loss < lowest;
    lowest = better ? record.val_loss : lowest;
    rate = better ? rate : rate / 2;
    halved += better ? 0 : 1;
  }
  return halved;
}

const Words kServer = {"weights.method=binary_connect", "workers.count=2",
                       "workers.protocol=parameter_server"};

}  // namespace

TEST_CASE("plateau: the rate is divided after each epoch whose validation loss is not below the lowest") {
  for (const Words& words : {Words{}, kServer}) {
    const std::vector<EpochRecord> records = train(Experiment(kPlateau + words), 8);
    CHECK(check_rates(records) >= 2);
    CHECK(records[0].val_loss < std::numeric_limits<double>::infinity());
  }
}

TEST_CASE("plateau: with averages the loss is theirs") {
  Experiment experiment(kPlateau);
  experiment.average_decay = 0.5;
  CHECK(check_rates(train(experiment, 8)) >= 1);
}

TEST_CASE("plateau: an equal loss does not count as lower") {
  const std::vector<EpochRecord> records =
      train(Experiment(Words{"schedule={name: plateau, divisor: 2}", "optimizer.learning_rate=1e-30"}), 3);
  CHECK(records[1].val_loss != records[2].val_loss);  // of running statistics, which go on
  Experiment still(Words{"schedule={name: plateau, divisor: 2}", "optimizer.learning_rate=1e-30",
                         "model.batch_norm=false"});
  const std::vector<EpochRecord> same = train(still, 3);
  CHECK(same[0].val_loss == same[2].val_loss);
  CHECK(same[1].learning_rate == same[0].learning_rate);
  CHECK(same[2].learning_rate == same[0].learning_rate / 2);
}

TEST_CASE("plateau: stopped anywhere and restored, training goes on to the same bits") {
  const Experiment experiment(kPlateau + Words{"dataset.limit.train=96"});
  Trainer whole(experiment.stage(6), experiment.loaded.dataset);
  std::vector<EpochRecord> expected;
  while (!whole.finished()) expected.push_back(*whole.run_epoch(go_on));
  const std::vector<NamedTensor> end = whole.save();
  REQUIRE(expected.back().learning_rate < 0.7);
  for (const int stop_after : {3, 8, 13, 15, 16}) {
    int batches = 0;
    const Watch stop = [&](const Progress& progress) {
      return !progress.training || ++batches != stop_after;
    };
    Trainer first(experiment.stage(6), experiment.loaded.dataset);
    std::vector<EpochRecord> records;
    while (const std::optional<EpochRecord> record = first.run_epoch(stop)) records.push_back(*record);
    Trainer second(experiment.stage(6, 2), experiment.loaded.dataset);
    second.restore({.tensors = first.save(), .metadata = {}});
    while (!second.finished()) records.push_back(*second.run_epoch(go_on));
    REQUIRE(records.size() == expected.size());
    for (std::size_t i = 0; i < records.size(); ++i) {
      CHECK(numbers(records[i]) == numbers(expected[i]));
      CHECK(records[i].learning_rate == expected[i].learning_rate);
    }
    CHECK(same_bytes(second.save(), end));
  }
}

TEST_CASE("plateau: its count stands in checkpoints of that schedule alone, which need it") {
  const Experiment plateau(kPlateau), constant;
  Trainer with(plateau.stage(), plateau.loaded.dataset), without(constant.stage(), constant.loaded.dataset);
  SafetensorsFile file{.tensors = with.save(), .metadata = {}};
  CHECK(file.find("trainer/plateaus") != nullptr);
  CHECK(SafetensorsFile{.tensors = without.save(), .metadata = {}}.find("trainer/plateaus") == nullptr);
  std::erase_if(file.tensors, [](const NamedTensor& tensor) { return tensor.name == "trainer/plateaus"; });
  CHECK_THROWS_WITH_AS(with.restore(file), doctest::Contains("no tensor 'trainer/plateaus'"), Error);
}

TEST_CASE("clipping resumes to the same bits, and a server's steps are those of latents everywhere") {
  const Words clip = {"optimizer.clip_norm=0.5", "optimizer.clip_value=0.1"};
  train_and_resume(kQuantized + clip);
  const Words two = kQuantized + kAdam + clip + Words{"workers.count=2"};
  const std::vector<EpochRecord> everywhere = train(Experiment(two), 2);
  const std::vector<EpochRecord> server =
      train(Experiment(two + Words{"workers.protocol=parameter_server"}), 2);
  for (std::size_t i = 0; i < server.size(); ++i) CHECK(numbers(server[i]) == numbers(everywhere[i]));
  const Words plain = kQuantized + kSgd;
  CHECK(train(Experiment(plain + clip), 1)[0].val_loss != train(Experiment(plain), 1)[0].val_loss);
}

}  // namespace qtrain::train
