// Language models in training: targets are tokens, and what recurrent layers carry is part of the state.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "train/resume.hpp"

namespace qtrain::train {
namespace {

using namespace test;

// Of 96 tokens (kSmall) three steps an epoch, of 400 fourteen.
const Words kText = {
    "dataset={name: markov_text, batch_size: 4, sequence: 7, limit: {train: 400, test: 100}}",
    "model={name: lstm, hidden: 12, embedding: 8}", "optimizer={name: adam, learning_rate: 0.01}"};

std::vector<EpochRecord> train(const Words& words, int epochs) {
  const Experiment experiment(words);
  Trainer trainer(experiment.stage(epochs), experiment.loaded.dataset);
  std::vector<EpochRecord> records;
  while (!trainer.finished()) records.push_back(*trainer.run_epoch(go_on));
  return records;
}

std::vector<const NamedTensor*> carried_in(const std::vector<NamedTensor>& tensors) {
  std::vector<const NamedTensor*> found;
  for (const NamedTensor& tensor : tensors)
    if (tensor.name.starts_with("carried/")) found.push_back(&tensor);
  return found;
}

Watch stop_after(int batches) {
  return [batches, done = 0](const Progress& progress) mutable {
    return !progress.training || ++done != batches;
  };
}

}  // namespace

TEST_CASE("a language model learns; loss, rate and clock count tokens") {
  const Experiment experiment(kText);
  Trainer trainer(experiment.stage(10), experiment.loaded.dataset);
  std::vector<EpochRecord> records;
  while (!trainer.finished()) records.push_back(*trainer.run_epoch(go_on));
  CHECK(records.front().train_loss == doctest::Approx(std::log(27)).epsilon(0.2));
  CHECK(records.back().train_loss < 0.95 * records.front().train_loss);
  CHECK(trainer.clock().train_targets == 10 * 14 * 4 * 7);
  CHECK(trainer.clock().eval_targets == 10 * 3 * 4 * 7);
}

TEST_CASE("language models resume to the same bits from within an epoch") {
  const Words binary = {"weights.method=binary_connect"};
  train_and_resume(kText);
  train_and_resume(kText + binary + Words{"model.layers=2", "model.dropout=0.5"});
  train_and_resume(kText + Words{"weights.method=laq", "schedule.name=plateau", "optimizer.clip_norm=0.25"});
  for (const char* protocol : {"all_reduce", "parameter_server"})
    train_and_resume(kText + binary +
                     Words{"workers.count=3", std::string("workers.protocol=") + protocol,
                           "gradients.method=stochastic_linear"});
}

TEST_CASE("a checkpoint within an epoch holds what is carried, one at its end nothing") {
  const Experiment experiment(kText + Words{"model.layers=2"});
  Trainer trainer(experiment.stage(), experiment.loaded.dataset);
  CHECK(carried_in(trainer.save()).empty());
  CHECK_FALSE(trainer.run_epoch(stop_after(5)));
  SafetensorsFile file{.tensors = trainer.save(), .metadata = {}};
  const std::vector<const NamedTensor*> carried = carried_in(file.tensors);
  REQUIRE(carried.size() == 2);
  for (const NamedTensor* tensor : carried) {
    CHECK(tensor->shape == Shape{4, 2 * 12});
    CHECK(std::ranges::count(tensor->floats(), 0.0f) == 0);
  }
  std::erase_if(file.tensors, [](const NamedTensor& tensor) { return tensor.name.starts_with("carried/"); });
  Trainer other(experiment.stage(), experiment.loaded.dataset);
  CHECK_THROWS_WITH_AS(other.restore(file), doctest::Contains("no tensor 'carried/"), Error);
  CHECK(trainer.run_epoch(go_on));
  CHECK(carried_in(trainer.save()).empty());
}

TEST_CASE("what is carried belongs to a lane, whatever the number of workers") {
  const Experiment one(kText), three(kText + Words{"workers.count=3"});
  Trainer alone(one.stage(), one.loaded.dataset), shared(three.stage(), three.loaded.dataset);
  alone.run_epoch(stop_after(2));
  shared.run_epoch(stop_after(2));
  const std::vector<NamedTensor> a = alone.save(), b = shared.save();
  const std::vector<float> x = carried_in(a).at(0)->floats(), y = carried_in(b).at(0)->floats();
  REQUIRE(x.size() == y.size());
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(y[i] == doctest::Approx(x[i]).epsilon(1e-4));

  Trainer resumed(one.stage(), one.loaded.dataset);  // with another number of workers
  resumed.restore({.tensors = b, .metadata = {}});
  CHECK(resumed.run_epoch(go_on)->train_loss ==
        doctest::Approx(alone.run_epoch(go_on)->train_loss).epsilon(1e-4));
}

TEST_CASE("workers that send floats train a language model as one does, up to rounding") {
  const std::vector<EpochRecord> one = train(kText, 2);
  for (const int count : {2, 3, 4}) {
    const std::vector<EpochRecord> several =
        train(kText + Words{"workers.count=" + std::to_string(count)}, 2);
    for (std::size_t i = 0; i < one.size(); ++i)
      CHECK(several[i].train_loss == doctest::Approx(one[i].train_loss).epsilon(1e-4));
  }
}

TEST_CASE("every epoch and every evaluation of a text starts anew") {
  const Words still = kText + Words{"optimizer={name: sgd, learning_rate: 1.0e-30}"};
  const std::vector<EpochRecord> records = train(still, 3);
  for (const EpochRecord& record : records) {
    CHECK(record.train_loss == records.front().train_loss);
    CHECK(record.val_loss == records.front().val_loss);
    CHECK(record.quantized_val_loss == records.front().val_loss);
  }
}

}  // namespace qtrain::train
