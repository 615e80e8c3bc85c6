// Several workers in training: what must be the same as with one, between protocols, and after a stop.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "train/resume.hpp"

namespace qtrain::train {
namespace {

using namespace test;

std::vector<EpochRecord> train(const Words& words, int epochs = 2) {
  const Experiment experiment(words);
  Trainer trainer(experiment.stage(epochs), experiment.loaded.dataset);
  std::vector<EpochRecord> records;
  while (!trainer.finished()) records.push_back(*trainer.run_epoch(go_on));
  return records;
}

Words with_workers(int count) { return {fmt::format("workers.count={}", count)}; }

const Words kServer = {"workers.protocol=parameter_server"};

}  // namespace

TEST_CASE("without batch norm, workers that send floats do what one does, up to rounding") {
  const Words net = kSgd + Words{"model.batch_norm=false"};
  const std::vector<EpochRecord> one = train(net);
  for (const int count : {2, 3, 5}) {
    const std::vector<EpochRecord> several = train(net + with_workers(count));
    for (std::size_t i = 0; i < one.size(); ++i) {
      CHECK(several[i].train_loss == doctest::Approx(one[i].train_loss).epsilon(1e-5));
      CHECK(several[i].val_loss == doctest::Approx(one[i].val_loss).epsilon(1e-5));
    }
  }
}

TEST_CASE("a server's quantized weights train the same bits as latents on every worker") {
  for (const char* weights :
       {"binary_connect", "bwn", "lab", "laq", "ttq", "lsq", "prox_quant", "pmf", "none"})
    for (const char* gradients : {"none", "stochastic_linear"}) {
      CAPTURE(std::string(weights));
      const Words words =
          kAdam + with_workers(2) +
          Words{fmt::format("weights.method={}", weights), fmt::format("gradients.method={}", gradients)};
      const std::vector<EpochRecord> everywhere = train(words), server = train(words + kServer);
      for (std::size_t i = 0; i < server.size(); ++i) CHECK(numbers(server[i]) == numbers(everywhere[i]));
    }
}

TEST_CASE("a server sends back packed weights: about one bit each for binary ones") {
  const Words words =
      kSgd + kServer + with_workers(2) +
      Words{"weights.method=binary_connect", "gradients={method: stochastic_linear, bits: 2}"};
  const Experiment experiment(words);
  Trainer trainer(experiment.stage(1), experiment.loaded.dataset);
  const dist::Traffic traffic = *trainer.run_epoch(go_on)->traffic;
  std::int64_t weights = 0, floats = 0, tensors = 0;
  for (const engine::ParameterSlot& slot : trainer.engine().slots()) {
    (slot.method != nullptr ? weights : floats) += static_cast<std::int64_t>(slot.size);
    ++tensors;
  }
  CHECK(traffic.steps == 5);
  CHECK(traffic.sent == 2 * 5 * (weights / 4 + 4 * 2 + 4 * floats));
  CHECK(traffic.received_in_floats == 2 * 5 * 4 * (weights + floats));
  // Packed: a head, a scale and two codes a tensor, and one bit a weight; what is all zeros at the start is
  // packed too.
  CHECK(traffic.received >= 2 * 5 * weights / 8);
  CHECK(traffic.received <= 2 * 5 * (weights / 8 + 4 * floats + 21 * tensors));
}

TEST_CASE("workers resume to the same bits, each with what it remembers and its statistics") {
  for (const Words& words :
       {Words{"gradients.method=ef_sign_sgd"}, Words{"workers.sharding=fixed"},
        Words{"workers.batch_norm=first", "gradients.method=terngrad"},
        Words{"workers.batch=each", "workers.learning_rate=sqrt", "dataset.batch_size=8"}})
    for (const Words& protocol : {Words{}, kServer}) {
      CAPTURE(words.front());
      train_and_resume(kQuantized + words + protocol + with_workers(3));
    }
  train_and_resume(with_workers(3) +
                   Words{"activations={quantizer: lsq, ste: identity}"});  // starts from data
}

TEST_CASE(
    "batch norm: worker by worker, so its numbers depend on their count; statistics are a mean or the "
    "first's") {
  const std::vector<EpochRecord> one = train(kSgd), two = train(kSgd + with_workers(2));
  CHECK(one[0].train_loss != doctest::Approx(two[0].train_loss).epsilon(1e-6));
  const std::vector<EpochRecord> first = train(kSgd + with_workers(2) + Words{"workers.batch_norm=first"});
  CHECK(first[1].train_loss == two[1].train_loss);
  CHECK(first[1].val_loss != two[1].val_loss);
}

TEST_CASE("frozen weights: what their quantizers learn is of all workers' gradients, whatever their count") {
  for (const Words& protocol : {Words{}, kServer}) {
    std::map<std::string, std::vector<float>> of_one;
    for (const int count : {1, 2, 4}) {
      const Experiment experiment(
          kSgd + (count == 1 ? Words{} : protocol + with_workers(count)) +
          Words{"model.batch_norm=false", "weights={method: qil, interval_rate: 1, gamma: fixed}"});
      Stage stage = experiment.stage(1);
      stage.options.frozen = [](const auto& slot) {
        return slot.kind == engine::ParameterSlot::Kind::weight;
      };
      Trainer trainer(std::move(stage), experiment.loaded.dataset);
      engine::Engine& engine = trainer.engine();
      const std::vector<float> before(engine.latents().begin(), engine.latents().end());
      trainer.run_epoch(go_on);
      for (const engine::ParameterSlot& slot : engine.slots()) {
        const std::span<float> u = engine.latents().subspan(slot.offset, slot.size);
        const bool moved = !std::ranges::equal(u, std::span(before).subspan(slot.offset, slot.size));
        CHECK_MESSAGE(moved == (slot.kind != engine::ParameterSlot::Kind::weight), slot.name);
        if (slot.kind != engine::ParameterSlot::Kind::learned) continue;
        if (count == 1)
          of_one[slot.name].assign(u.begin(), u.end());
        else
          CHECK_MESSAGE(u[0] == doctest::Approx(of_one[slot.name][0]).epsilon(1e-4), slot.name);
      }
    }
  }
}

TEST_CASE("the learning rate grows with the workers when asked to, batches too") {
  const auto rate = [](const char* rule) {
    return train(kSgd + with_workers(4) + Words{fmt::format("workers.learning_rate={}", rule)}, 1)[0]
        .learning_rate;
  };
  CHECK(rate("as_is") == doctest::Approx(0.05));
  CHECK(rate("sqrt") == doctest::Approx(0.1));
  CHECK(rate("linear") == doctest::Approx(0.2));
  const Experiment each(kSgd + with_workers(2) + Words{"workers.batch=each", "gradients.method=sign_sgd"});
  Trainer trainer(each.stage(1), each.loaded.dataset);
  CHECK(trainer.run_epoch(go_on)->traffic->steps == 3);  // 160 images, 2 x 32 a step
}

TEST_CASE("a checkpoint goes on with another number of workers") {
  const Experiment two(kSgd + with_workers(2) +
                       Words{"gradients.method=ef_sign_sgd", "optimizer.momentum=0"});
  Trainer first(two.stage(2), two.loaded.dataset);
  first.run_epoch(go_on);
  for (const int count : {1, 3}) {
    const Experiment other(kSgd + with_workers(count) +
                           Words{"gradients.method=ef_sign_sgd", "optimizer.momentum=0"});
    Trainer second(other.stage(2), other.loaded.dataset);
    second.restore({.tensors = first.save(), .metadata = {}});
    const EpochRecord record = *second.run_epoch(go_on);
    CHECK(record.epoch == 2);
    CHECK(std::isfinite(record.val_loss));
  }
}

TEST_CASE(
    "decay in the gradients: sgd's own up to rounding when they are floats, quantized with them when not") {
  const Words net = kSgd + Words{"model.batch_norm=false", "optimizer.weight_decay=0.1"};
  const std::vector<EpochRecord> after = train(net), before = train(net + Words{"gradients.decay=true"});
  CHECK(before[1].train_loss == doctest::Approx(after[1].train_loss).epsilon(1e-5));
  CHECK(before[1].train_loss !=
        doctest::Approx(train(kSgd + Words{"model.batch_norm=false"})[1].train_loss).epsilon(1e-3));
  const Words quantized = net + Words{"gradients.method=stochastic_linear"};
  CHECK(train(quantized)[1].train_loss != train(quantized + Words{"gradients.decay=true"})[1].train_loss);
}

TEST_CASE("decay in the gradients leaves that of learned values to the step, once") {
  const Words net = kSgd + Words{"activations={quantizer: pact, bits: 4, decay: 0.1}"};
  const auto alpha = [](const Words& words) {
    const Experiment experiment(words);
    Trainer trainer(experiment.stage(1), experiment.loaded.dataset);
    return trainer.run_epoch(go_on)->learned.front().second.front();
  };
  CHECK(alpha(net + Words{"gradients.decay=true"}) == alpha(net));
  CHECK(alpha(net) != alpha(kSgd + Words{"activations={quantizer: pact, bits: 4, decay: 0}"}));
}

TEST_CASE("dorefa gradients need quantized weights to change anything, and their own draws") {
  const Words dorefa = {"gradients={method: dorefa, bits: 2}"};
  CHECK(numbers(train(kSgd)[1]) == numbers(train(kSgd + dorefa)[1]));
  CHECK(numbers(train(kQuantized + kSgd)[1]) != numbers(train(kQuantized + kSgd + dorefa)[1]));
}

}  // namespace qtrain::train
