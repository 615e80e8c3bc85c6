// Every schedule against values worked out by hand.
#include <doctest/doctest.h>

#include <cmath>

#include "optim/optimizer.hpp"
#include "read_spec.hpp"

namespace qtrain::optim {
namespace {

constexpr std::int64_t kStepsPerEpoch = 10;

double factor_at(const std::string& keys, std::int64_t step, std::int64_t epochs = 100) {
  return read_spec<ScheduleSpec>(keys).factor(
      {.step = step, .steps_per_epoch = kStepsPerEpoch, .epochs = epochs});
}

doctest::Approx about(double value) { return doctest::Approx(value).epsilon(1e-12); }

}  // namespace

TEST_CASE("constant: one") {
  CHECK(factor_at("{}", 0) == 1);
  CHECK(factor_at("name: constant", 999) == 1);
}

TEST_CASE("multistep: drops at the start of each milestone epoch") {
  const std::string keys = "{name: multistep, milestones: [2, 5], factor: 0.5}";
  CHECK(factor_at(keys, 0) == 1);
  CHECK(factor_at(keys, 19) == 1);
  CHECK(factor_at(keys, 20) == 0.5);
  CHECK(factor_at(keys, 49) == 0.5);
  CHECK(factor_at(keys, 50) == 0.25);
  CHECK(factor_at(keys, 999) == 0.25);
  CHECK(factor_at("name: multistep", 1399, 200) == about(0.1));
  CHECK(factor_at("name: multistep", 1400, 200) == about(0.01));
}

TEST_CASE("step: drops every so many epochs") {
  const std::string keys = "{name: step, every: 15, factor: 0.5}";
  CHECK(factor_at(keys, 149) == 1);
  CHECK(factor_at(keys, 150) == 0.5);
  CHECK(factor_at(keys, 449) == 0.25);
  CHECK(factor_at(keys, 450) == 0.125);
}

TEST_CASE("step: drops are counted from its start on") {
  const std::string keys = "{name: step, every: 2, start: 10, factor: 0.5}";
  for (const auto& [epoch, factor] :
       {std::pair{0, 1.0}, {9, 1.0}, {11, 1.0}, {12, 0.5}, {13, 0.5}, {14, 0.25}})
    CHECK(factor_at(keys, kStepsPerEpoch * epoch) == about(factor));
}

TEST_CASE("cosine: half a wave over all steps of the stage") {
  CHECK(factor_at("name: cosine", 0) == 1);
  CHECK(factor_at("name: cosine", 500) == about(0.5));
  CHECK(factor_at("name: cosine", 250) == about((1 + std::sqrt(0.5)) / 2));
  CHECK(factor_at("name: cosine", 1000) == doctest::Approx(0));
  CHECK(factor_at("name: cosine", 1500) == doctest::Approx(0));
  CHECK(factor_at("{name: cosine, final_factor: 0.2}", 0) == 1);
  CHECK(factor_at("{name: cosine, final_factor: 0.2}", 500) == about(0.6));
  CHECK(factor_at("{name: cosine, final_factor: 0.2}", 1000) == about(0.2));
  CHECK(factor_at("name: cosine", 0, 0) == 1);
}

TEST_CASE("exponential: by epoch, or by what is left after the last") {
  CHECK(factor_at("{name: exponential, factor: 0.5}", 9) == 1);
  CHECK(factor_at("{name: exponential, factor: 0.5}", 10) == 0.5);
  CHECK(factor_at("{name: exponential, factor: 0.5}", 35) == 0.125);
  CHECK(factor_at("{name: exponential, final_factor: 0.01}", 0) == 1);
  CHECK(factor_at("{name: exponential, final_factor: 0.01}", 500) == about(0.1));
  CHECK(factor_at("{name: exponential, final_factor: 0.01}", 1000) == about(0.01));
}

TEST_CASE("inverse_sqrt: by step") {
  CHECK(factor_at("name: inverse_sqrt", 0) == 1);
  CHECK(factor_at("name: inverse_sqrt", 3) == 0.5);
  CHECK(factor_at("name: inverse_sqrt", 99) == about(0.1));
}

TEST_CASE("plateau: divided once for each epoch without a new lowest loss; no other schedule looks at them") {
  const auto factor = [](const std::string& keys, std::int64_t plateaus, std::int64_t step = 35) {
    return read_spec<ScheduleSpec>(keys).factor(
        {.step = step, .steps_per_epoch = kStepsPerEpoch, .epochs = 100, .plateaus = plateaus});
  };
  CHECK(factor("name: plateau", 0) == 1);
  CHECK(factor("name: plateau", 1) == about(1 / 1.2));
  CHECK(factor("name: plateau", 3) == about(1 / (1.2 * 1.2 * 1.2)));
  CHECK(factor("{name: plateau, divisor: 4}", 2) == 0.0625);
  CHECK(factor("{name: plateau, divisor: 4, warmup_epochs: 1}", 1, 4) == about(0.5 * 0.25));
  for (const ScheduleEntry& entry : schedules()) {
    const std::string keys = std::string("name: ") + entry.name;
    const bool looks = read_spec<ScheduleSpec>(keys).schedule->wants_validation();
    CHECK_MESSAGE((factor(keys, 2) == factor(keys, 0)) != looks, keys);
    CHECK(looks == (keys == "name: plateau"));
  }
}

TEST_CASE("warm-up: linear, its last step whole, times the schedule") {
  CHECK(factor_at("warmup_epochs: 2", 0) == about(0.05));
  CHECK(factor_at("warmup_epochs: 2", 9) == about(0.5));
  CHECK(factor_at("warmup_epochs: 2", 19) == 1);
  CHECK(factor_at("warmup_epochs: 2", 20) == 1);
  CHECK(factor_at("warmup_epochs: 0.5", 1) == about(0.4));
  CHECK(factor_at("{name: inverse_sqrt, warmup_epochs: 1}", 3) == about(0.4 * 0.5));
}

TEST_CASE("schedules: every one starts at 1 and stays a finite, non-negative factor") {
  for (const ScheduleEntry& entry : schedules()) {
    const std::string keys = std::string("name: ") + entry.name;
    CAPTURE(keys);
    CHECK(factor_at(keys, 0) == 1);
    for (const std::int64_t step : {1, 10, 999, 1000, 100'000}) {
      const double factor = factor_at(keys, step);
      CHECK(std::isfinite(factor));
      CHECK(factor >= 0);
      CHECK(factor <= 1);
    }
  }
}

}  // namespace qtrain::optim
