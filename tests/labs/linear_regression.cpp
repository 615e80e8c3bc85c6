// Quantized linear regression against the least loss that weights of one scale can have.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "lab_runs.hpp"
#include "labs/scale_floor.hpp"

namespace qtrain::labs {
namespace {

LabRun regress(const std::string& keys, std::uint64_t seed = 1) {
  return run_one("{name: linear_regression, patience: 0, optimizer: {decay: 0.9}, " + keys + "}", seed);
}

double number(const LabRun& run, const char* key) { return run.result.at(key).get<double>(); }

std::vector<float> uniform_weights(std::size_t count) {
  RandomStream random(1, Purpose::test);
  std::vector<float> w(count);
  for (float& value : w) value = random.uniform(-0.5F, 0.5F);
  return w;
}

/// min over alpha on a fine grid.
double floor_on_grid(const std::vector<float>& w, int top, bool zero) {
  double best = 1e9;
  for (int step = 1; step <= 20'000; ++step) {
    const double alpha = step * 5e-5;
    double sum = 0;
    for (const float value : w) {
      const double a = std::abs(static_cast<double>(value)) * (zero ? top : 1) / alpha;
      const double code = zero ? std::min<double>(std::nearbyint(a), top) / top : 1;
      sum += std::pow(std::abs(static_cast<double>(value)) - alpha * code, 2);
    }
    best = std::min(best, sum);
  }
  return best;
}

}  // namespace

TEST_CASE("scale floors: brute force, and the closed form for uniform weights") {
  const std::vector<float> few = uniform_weights(7);
  CHECK(binary_floor(few) == doctest::Approx(floor_on_grid(few, 1, false)).epsilon(1e-6));
  for (const int top : {1, 3, 7}) {
    CAPTURE(top);
    CHECK(level_floor(few, top) == doctest::Approx(floor_on_grid(few, top, true)).epsilon(1e-4));
  }
  // Uniform on [-1/2, 1/2]: d / 48 binary, d / (12 (2k + 1)^2) with levels.
  const std::vector<float> many = uniform_weights(100'000);
  CHECK(binary_floor(many) / 100'000 == doctest::Approx(1.0 / 48).epsilon(0.01));
  for (const int top : {1, 3, 7})
    CHECK(level_floor(many, top) / 100'000 ==
          doctest::Approx(1.0 / 12 / std::pow(2 * top + 1, 2)).epsilon(0.01));
  const std::vector<float> zeros(3);
  CHECK(binary_floor(zeros) == 0);
  CHECK(level_floor(zeros, 3) == 0);
}

TEST_CASE("no run averages below the floor of its own w*, and the order is float < LAQ3 < LAQ2 < LAB") {
  const char* methods[] = {"{method: none}", "{method: laq, bits: 3}", "{method: laq, bits: 2}",
                           "{method: lab}"};
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    double last = 0;
    for (const char* weights : methods) {
      CAPTURE(weights);
      const LabRun run = regress("dimensions: [64], steps: 6000, weights: " + std::string(weights), seed);
      CHECK(number(run, "population_loss") >= number(run, "floor"));
      CHECK(number(run, "loss") == doctest::Approx(number(run, "population_loss")).epsilon(0.05));
      CHECK(number(run, "population_loss") > last);
      last = number(run, "population_loss");
    }
  }
}

TEST_CASE("float weights reach the noise") {
  const LabRun run = regress("dimensions: [16], steps: 10000, weights: {method: none}");
  CHECK(number(run, "floor") == doctest::Approx(0.02));
  CHECK(number(run, "population_loss") < 0.0205);
}

TEST_CASE("the floor is that of the binary optimum of its own w*") {
  double mean = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed)
    mean += number(regress("dimensions: [64], steps: 1", seed), "floor") / 200;
  CHECK(mean == doctest::Approx(0.02 + 64.0 / 1152).epsilon(0.02));
}

TEST_CASE("a projection lowers LAB's loss; the loss grows about linearly with d") {
  const double narrow =
      number(regress("dimensions: [64], steps: 6000, weights: {method: lab, clip: 0}, w_clip: 0.5"),
             "population_loss");
  const double wide =
      number(regress("dimensions: [64], steps: 6000, weights: {method: lab, clip: 0}, w_clip: 1"),
             "population_loss");
  const double none =
      number(regress("dimensions: [64], steps: 6000, weights: {method: lab, clip: 0}"), "population_loss");
  CHECK(narrow < wide);
  CHECK(wide < none);
  CHECK(number(regress("dimensions: [64], steps: 6000, weights: {method: lab, clip: 1}"),
               "population_loss") == wide);
  const double four_times = number(regress("dimensions: [256], steps: 3000, w_clip: 0.5"), "population_loss");
  const double once = number(regress("dimensions: [64], steps: 3000, w_clip: 0.5"), "population_loss");
  CHECK((four_times - 0.02) / (once - 0.02) == doctest::Approx(4).epsilon(0.4));
}

TEST_CASE("two-bit gradients change the end little once w is projected") {
  const double exact = number(regress("dimensions: [64], steps: 6000, w_clip: 0.5"), "population_loss");
  const double sent = number(
      regress("dimensions: [64], steps: 6000, w_clip: 0.5, gradients: {method: stochastic_linear, bits: 2}"),
      "population_loss");
  CHECK(sent != exact);
  CHECK(sent == doctest::Approx(exact).epsilon(0.08));
}

TEST_CASE("the average loss, its rows, and patience") {
  const LabRun run = regress("dimensions: [16], steps: 100, log_every: 1, batch_size: 8");
  REQUIRE(run.rows.size() == 100);
  CHECK(run.rows.front()["step"] == 1);
  CHECK(run.result["average_loss"] == run.rows.back()["average_loss"]);
  const LabRun stopped = run_one(
      "{name: linear_regression, dimensions: [64], steps: 30000, patience: 300, weights: {method: lab, clip: "
      "0}}");
  CHECK(stopped.result["steps"].get<int>() < 30'000);
  CHECK(stopped.rows.back()["step"] == stopped.result["steps"]);
}

TEST_CASE("linear_regression: the optimizer's clipping holds here too") {
  const auto last_loss = [](const std::string& optimizer, int steps) {
    const LabRun run =
        run_one("{name: linear_regression, weights: {method: none}, dimensions: [16], steps: " +
                std::to_string(steps) + ", optimizer: {name: sgd, " + optimizer + "}}");
    return run.rows.back()["population_loss"].get<double>();
  };
  CHECK(last_loss("clip_norm: 1.0e-20", 50) == last_loss("clip_norm: 1.0e-20", 1));
  CHECK(last_loss("clip_value: 1.0e-20", 50) == last_loss("clip_value: 1.0e-20", 1));
  CHECK(last_loss("learning_rate: 0.5", 50) < 0.9 * last_loss("learning_rate: 0.5", 1));
}

TEST_CASE("linear_regression: mistakes") {
  const auto mistakes = [](const std::string& keys) {
    return mistakes_of<LabSpec>("{name: linear_regression, " + keys + "}");
  };
  CHECK(mistakes("optimizer: {name: sgd}").find("keeps no second moment") != std::string::npos);
  CHECK(mistakes("optimizer: {name: sgd}, weights: {method: none}").empty());
  CHECK(mistakes("optimizer: {name: adam}").empty());
  CHECK(mistakes("optimizer: {restart_epochs: 1}").find("restart_epochs must be 0") != std::string::npos);
  CHECK(mistakes("gradients: {method: ef_sign_sgd}").find("and rms_prop makes others") != std::string::npos);
  CHECK(mistakes(
            "gradients: {method: ef_sign_sgd}, optimizer: {name: sgd, momentum: 0}, weights: {method: none}")
            .empty());
  CHECK(mistakes("schedule: {name: plateau}")
            .find("schedule: is plateau, which goes by the loss on validation") != std::string::npos);
  CHECK(mistakes("weights: {method: qil}").find("learns values of its own") != std::string::npos);
  CHECK(mistakes("weights: {method: lab, clp: 1}").find("weights.clp: unknown key, did you mean 'clip'?") !=
        std::string::npos);
  CHECK(mistakes("dimensions: []").find("dimensions: is empty") != std::string::npos);
}

}  // namespace qtrain::labs
