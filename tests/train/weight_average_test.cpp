#include "train/weight_average.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "train/experiment.hpp"
#include "train/weights.hpp"

namespace qtrain::train {
namespace {

using namespace test;

/// What the averages of u(1), u(2), ... are, in double.
class Expected {
 public:
  explicit Expected(std::span<const float> start) : average_(start.begin(), start.end()) {}
  void add(std::span<const float> u, double decay) {
    ++steps_;
    const double d = std::min(decay, (1 + steps_) / (10 + steps_));
    for (std::size_t i = 0; i < u.size(); ++i) average_[i] = d * average_[i] + (1 - d) * u[i];
  }
  const std::vector<double>& values() const { return average_; }

 private:
  double steps_ = 0;
  std::vector<double> average_;
};

void check_close(std::span<const float> x, const std::vector<double>& expected) {
  REQUIRE(x.size() == expected.size());
  for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(std::abs(x[i] - expected[i]) < 1e-5);
}

/// The stage, trained to the end, and what its averages must then be.
struct Trained {
  Trainer trainer;
  Expected expected;
  std::vector<EpochRecord> records;
  explicit Trained(const Experiment& experiment)
      : trainer(experiment.stage(), experiment.loaded.dataset), expected(trainer.engine().latents()) {
    const Watch watch = [&](const Progress& progress) {
      if (progress.training) expected.add(trainer.engine().latents(), experiment.average_decay);
      return true;
    };
    while (!trainer.finished()) records.push_back(*trainer.run_epoch(watch));
  }
};

const Words kFloat = {"model.batch_norm=false"};

TEST_CASE("averages: the recursion, with fewer steps remembered at the beginning") {
  constexpr std::size_t kSize = 37;
  std::vector<float> u(kSize, 1.0f);
  for (const double decay : {0.3, 0.9999}) {
    WeightAverage average(decay);
    average.start(u);
    Expected expected(u);
    RandomStream random(1, Purpose::test);
    for (int t = 1; t <= 40; ++t) {
      for (float& x : u) x = random.normal();
      average.update(u, t);
      expected.add(u, decay);
    }
    std::vector<float> averages = u;
    average.swap(averages);
    check_close(averages, expected.values());
    std::vector<float> latents(kSize);
    average.copy_to(latents);
    CHECK(latents == u);
  }
  // After the first step, 2/11 of the start is left.
  WeightAverage average(0.9999);
  average.start(std::vector<float>{11});
  average.update(std::vector<float>{22}, 1);
  std::vector<float> one(1);
  average.copy_to(one);
  CHECK(one[0] == doctest::Approx(20));
}

TEST_CASE("averages do not change training, and are what is evaluated and left at the end") {
  Experiment experiment(kFloat + kAdam);
  Trained plain(experiment);
  experiment.average_decay = 0.7;
  Trained averaged(experiment);
  for (std::size_t e = 0; e < 2; ++e) {
    CHECK(averaged.records[e].train_loss == plain.records[e].train_loss);
    CHECK(averaged.records[e].val_loss != plain.records[e].val_loss);
  }
  std::vector<NamedTensor> state = averaged.trainer.save();
  std::erase_if(state, [](const NamedTensor& tensor) { return tensor.name == "average"; });
  CHECK(same_bytes(state, plain.trainer.save()));

  averaged.trainer.finalize();
  check_close(averaged.trainer.engine().latents(), averaged.expected.values());
  const Experiment fresh(kFloat + kAdam);
  Trainer loaded(fresh.stage(), fresh.loaded.dataset);
  loaded.start_from(used_tensors(averaged.trainer.engine()), "the averages");
  CHECK(loaded.evaluate(go_on)->val_loss == averaged.records.back().val_loss);
  averaged.trainer.finalize();
  check_close(averaged.trainer.engine().latents(), averaged.expected.values());
}

TEST_CASE("averages go through the quantizer, running statistics stay those of training") {
  Experiment experiment(kQuantized + kAdam);
  experiment.average_decay = 0.7;
  Trained trained(experiment);
  const std::vector<NamedTensor> state = trained.trainer.save();
  trained.trainer.finalize();
  engine::Engine& engine = trained.trainer.engine();
  check_close(engine.latents(), trained.expected.values());
  for (const engine::ParameterSlot& slot : engine.slots()) {
    if (slot.method == nullptr) continue;
    const std::span<const float> w = engine.used(slot), u = engine.latents().subspan(slot.offset, slot.size);
    for (std::size_t i = 0; i < w.size(); ++i) REQUIRE(w[i] == (u[i] < 0 ? -1.0f : 1.0f));
  }
  for (const NamedTensor& tensor : used_tensors(engine))
    for (const NamedTensor& other : state)
      if (tensor.name == other.name && tensor.name.find("running") != tensor.name.npos)
        CHECK(tensor.bytes == other.bytes);
}

TEST_CASE("averages over a freeze: the final weights are quantized none the less") {
  Experiment experiment(kAdam + Words{"weights={method: prox_quant, rate: 0.01, freeze_epoch: 1}"});
  experiment.average_decay = 0.99;
  Trained trained(experiment);
  trained.trainer.finalize();
  const engine::Engine& engine = trained.trainer.engine();
  for (const engine::ParameterSlot& slot : engine.slots())
    if (slot.method != nullptr)
      for (const float w : engine.used(slot)) REQUIRE(std::abs(w) == 1);
}

TEST_CASE("averages: without steps they are the start, loaded or drawn") {
  Experiment experiment(kFloat + kAdam);
  Trained source(experiment);
  const std::vector<NamedTensor> weights = carried_tensors(source.trainer.engine());
  Trainer plain(experiment.stage(), experiment.loaded.dataset);
  experiment.average_decay = 0.9;
  Trainer averaged(experiment.stage(), experiment.loaded.dataset);
  CHECK(averaged.evaluate(go_on)->val_loss == plain.evaluate(go_on)->val_loss);
  averaged.start_from(weights, "a run");
  CHECK(averaged.evaluate(go_on)->val_loss == source.records.back().val_loss);
}

}  // namespace
}  // namespace qtrain::train
