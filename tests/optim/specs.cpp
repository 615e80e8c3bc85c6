// Mistakes in `train.optimizer` and `train.schedule`, and their defaults.
#include <doctest/doctest.h>

#include "optim/optimizer.hpp"
#include "read_spec.hpp"

namespace qtrain::optim {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("optimizer spec: defaults and values") {
  const auto spec = read_spec<OptimizerSpec>("{}");
  CHECK(spec.name == "sgd");
  CHECK(spec.learning_rate == 0.1);
  CHECK(spec.weight_decay == 0);
  CHECK(spec.rule->slot_names() == std::vector<std::string>{"momentum"});
  CHECK(spec.rule->second_moment_slot() == -1);
  CHECK(read_spec<OptimizerSpec>("momentum: 0").rule->slot_names().empty());

  const auto adam = read_spec<OptimizerSpec>("{name: adam, learning_rate: 0.002, weight_decay: 1.0e-4}");
  CHECK(adam.learning_rate == 0.002);
  CHECK(adam.weight_decay == 1e-4);
  CHECK(spec.clip_norm == 0);
  CHECK(spec.clip_value == 0);
}

TEST_CASE("optimizer spec: mistakes are located, with suggestions") {
  CHECK(contains(mistakes_of<OptimizerSpec>("name: adm"), "did you mean 'adam'"));
  CHECK(contains(mistakes_of<OptimizerSpec>("{name: sgd, momentun: 0.9}"), "did you mean 'momentum'"));
  CHECK(contains(mistakes_of<OptimizerSpec>("{name: adam, momentum: 0.9}"), "momentum: unknown key"));
  CHECK(contains(mistakes_of<OptimizerSpec>("momentum: 1"), "test.yaml:1:11: momentum: is 1"));
  CHECK(contains(mistakes_of<OptimizerSpec>("{name: adam, beta2: 1}"), "beta2: is 1"));
  CHECK(contains(mistakes_of<OptimizerSpec>("learning_rate: 0"), "must be a number > 0"));
  CHECK(contains(mistakes_of<OptimizerSpec>("clip_norm: -0.25"), "clip_norm: is -0.25"));
  CHECK(contains(mistakes_of<OptimizerSpec>("clip_value: -1"), "clip_value: is -1"));
  CHECK(contains(mistakes_of<OptimizerSpec>("{momentum: 0, nesterov: true}"),
                 "nesterov: is true, but needs momentum > 0"));
}

TEST_CASE("schedule spec: mistakes are located, with suggestions") {
  CHECK(contains(mistakes_of<ScheduleSpec>("name: cosin"), "did you mean 'cosine'"));
  CHECK(contains(mistakes_of<ScheduleSpec>("{name: cosine, final_factor: 2}"), "final_factor: is 2"));
  CHECK(contains(mistakes_of<ScheduleSpec>("{name: step, every: 0}"), "every: is 0"));
  CHECK(contains(mistakes_of<ScheduleSpec>("{name: multistep, milestones: [80, 40]}"),
                 "milestones: does not rise"));
  CHECK(contains(mistakes_of<ScheduleSpec>("{name: plateau, divisor: 1}"), "must be a number > 1"));
  CHECK(contains(mistakes_of<ScheduleSpec>("warmup_epochs: -1"), "warmup_epochs: is -1"));
}

}  // namespace qtrain::optim
