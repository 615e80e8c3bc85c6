// The one-dimensional counterexamples of the ProxQuant paper, to their digits.
#include <doctest/doctest.h>

#include <cmath>

#include "lab_runs.hpp"
#include "quant/weight_method.hpp"

namespace qtrain::labs {
namespace {

std::vector<LabRun> runs_of(const std::string& keys) {
  return run_all("{name: scalar, log_every: 1, " + keys + "}");
}

void check_latents(const LabRun& run, const std::vector<double>& expected) {
  for (std::size_t t = 0; t < expected.size(); ++t) {
    CAPTURE(t);
    CHECK(std::abs(run.rows[t]["u"].get<double>() - expected[t]) < 1e-6);
  }
}

}  // namespace

TEST_CASE("BinaryConnect: two losses with opposite best signs have one trajectory, which never settles") {
  const std::vector<LabRun> runs =
      runs_of("loss: absolute, centers: [-0.5, 0.5], starts: [0.25], weights: {method: binary_connect}");
  REQUIRE(runs.size() == 2);
  for (const LabRun& run : runs) {
    check_latents(run, {0.25, 0.15, 0.05, -0.05, 0.05, -0.05, 0.05});
    CHECK(run.result["sign_changes"] == 998);
    CHECK_FALSE(run.result["settled"]);
  }
  for (std::size_t t = 0; t <= 1000; ++t) CHECK(runs[0].rows[t]["u"] == runs[1].rows[t]["u"]);
}

TEST_CASE("ProxQuant ends at the best sign of each") {
  const std::vector<LabRun> runs = runs_of(
      "loss: absolute, centers: [-0.5, 0.5], starts: [0.25, -0.25, 0.9, -0.9], "
      "weights: {method: prox_quant, homotopy: step, rate: 0.01}");
  REQUIRE(runs.size() == 8);
  check_latents(runs[0], {0.25, 0.15, 0.051, -0.051, -0.154, -0.258});
  for (std::size_t i = 0; i < 8; ++i) {
    CHECK(runs[i].result["u"] == (i < 4 ? -1.0 : 1.0));
    CHECK(runs[i].result["quantized"] == (i < 4 ? -1.0 : 1.0));
    CHECK(runs[i].result["quantized_loss"] == 0.5);
    CHECK(runs[i].result["settled"]);
  }
}

TEST_CASE(
    "lazy prox oscillates with amplitude lambda rate / (2 - rate) where ProxQuant converges to lambda") {
  const std::string keys =
      "loss: quadratic, learning_rate: 0.5, steps: 200, starts: [0.1, 0.05, 0.2, 0.37, 0.9], ";
  const std::string lambda = ", homotopy: constant, rate: 0.3}";
  const std::vector<LabRun> lazy = runs_of(keys + "weights: {method: lazy_prox" + lambda);
  check_latents(lazy[0], {0.1, -0.1, 0.1, -0.1, 0.1});
  for (std::size_t t = 0; t < 200; ++t)
    CHECK(std::abs(lazy[0].rows[t]["w"].get<double>() - (t % 2 == 0 ? 0.4 : -0.4)) < 1e-6);
  for (const LabRun& run : lazy) {
    CHECK(std::abs(std::abs(run.rows[199]["u"].get<double>()) - 0.1) < 1e-6);
    CHECK(std::abs(run.rows[199]["u"].get<double>() + run.rows[200]["u"].get<double>()) < 1e-6);
    CHECK_FALSE(run.result["settled"]);
  }
  const std::vector<LabRun> prox = runs_of(keys + "weights: {method: prox_quant" + lambda);
  check_latents(prox[0], {0.1, 0.2, 0.25, 0.275, 0.2875});
  for (std::size_t t = 1; t < 12; ++t) {
    const double before = 0.3 - prox[0].rows[t - 1]["u"].get<double>();
    CHECK(0.3 - prox[0].rows[t]["u"].get<double>() == doctest::Approx(before / 2).epsilon(1e-3));
  }
  for (const LabRun& run : prox) {
    CHECK(std::abs(run.result["u"].get<double>() - 0.3) < 1e-6);
    CHECK(run.result["settled"]);
  }
}

TEST_CASE("BinaryConnect on a quadratic: the mean weight is c - (u_T - u_0) / (rate T)") {
  const std::vector<LabRun> runs = runs_of("loss: quadratic, centers: [0.3, -0.75, 1.5], starts: [0.4]");
  const double expected[] = {0.304, -0.746, 1};
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(i);
    const double mean = runs[i].result["mean_w"].get<double>();
    CHECK(std::abs(mean - expected[i]) < 1e-9);
    if (i == 2) continue;  // clipped at 1
    const double c = i == 0 ? 0.3 : -0.75;
    CHECK(std::abs(mean - (c - (runs[i].result["u"].get<double>() - 0.4) / 100)) < 1e-6);
    CHECK_FALSE(runs[i].result["settled"]);  // |c| < 1: no fixed point
  }
  CHECK(runs[2].result["sign_changes"] == 0);
}

TEST_CASE("losses and their derivatives, zero at kinks") {
  const auto first = [](const std::string& loss, const char* start) {
    const LabRun run =
        runs_of("loss: " + loss + ", centers: [0.5], slope: 2, steps: 1, learning_rate: 0.25, starts: [" +
                start + "], weights: {method: none}")[0];
    return std::pair(run.rows[0]["loss"].get<double>(), run.rows[1]["u"].get<double>());
  };
  CHECK(first("absolute", "1") == std::pair(1.0, 0.5));
  CHECK(first("absolute", "0.5") == std::pair(0.0, 0.5));
  CHECK(first("quadratic", "1.5") == std::pair(1.0, 1.0));
  CHECK(first("w_shape", "1") == std::pair(1.0, 0.5));
  CHECK(first("w_shape", "0.25") == std::pair(0.5, 0.75));
  CHECK(first("w_shape", "-0.25") == std::pair(0.5, -0.75));
  CHECK(first("w_shape", "-0.5") == std::pair(0.0, -0.5));
}

TEST_CASE("every weight method without learned values runs; those with are refused") {
  for (const quant::WeightEntry& entry : quant::weight_methods()) {
    CAPTURE(entry.name);
    const std::string keys = "{name: scalar, steps: 5, weights: {method: " + std::string(entry.name) + "}}";
    const std::string mistakes = mistakes_of<LabSpec>(keys);
    if (mistakes.empty())
      CHECK(run_one(keys).result["u"].is_number());
    else
      CHECK(mistakes.find("learns values of its own") != std::string::npos);
  }
  CHECK(mistakes_of<LabSpec>("{name: scalar, weights: {method: lsq}}").find("weights: has method lsq") !=
        std::string::npos);
  CHECK(mistakes_of<LabSpec>("{name: scalar, starts: []}").find("starts: is empty") != std::string::npos);
}

}  // namespace qtrain::labs
