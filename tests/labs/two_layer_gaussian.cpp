// Trajectories of two_layer_gaussian with m = 3, n = 2, v* = (1, 1, -1), w* = (1, 0), rate 0.05.
#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "lab_runs.hpp"

namespace qtrain::labs {
namespace {

LabRun run_from(const std::string& ste, const std::string& keys) {
  return run_one("{name: two_layer_gaussian, stes: [" + ste + "], " + keys + "}");
}

double number(const Json& row, const char* key) { return row.at(key).get<double>(); }

}  // namespace

TEST_CASE(
    "identity at the spurious minimum: w shrinks, crosses 0 at step 201, f jumps, and it never settles") {
  const LabRun run = run_from("identity", "start: spurious_minimum, steps: 2000, log_every: 1");
  for (std::size_t t = 0; t <= 200; ++t) {
    CHECK(number(run.rows[t], "f") == doctest::Approx(0.125).epsilon(1e-14));
    CHECK(number(run.rows[t], "norm_w") ==
          doctest::Approx(1 - 0.00498677850 * static_cast<double>(t)).epsilon(1e-6));
    CHECK(std::abs(number(run.rows[t], "gradient_norm") - 0.0997355701) < 1e-10);
  }
  CHECK(std::abs(number(run.rows[200], "norm_w") - 0.00264430) < 1e-8);
  CHECK(number(run.rows[200], "theta") == std::numbers::pi);
  CHECK(number(run.rows[201], "theta") == 0);
  CHECK(number(run.rows[201], "f") == doctest::Approx(1.375).epsilon(1e-12));
  CHECK(std::abs(number(run.rows[202], "f") - 0.1253125) < 1e-10);
  CHECK(run.result["largest_rise"].get<double>() >= 1.25 - 1e-9);
  // The steps to the crossing: |w| sqrt(2 pi) (m + 1)^2 / (2 (m - 1) s^2 eta) = 200.5.
  CHECK(std::ceil(std::sqrt(2 * std::numbers::pi) * 16 / (2 * 2 * 0.05)) == 201);
  int jumps = 0;
  for (std::size_t t = 1001; t < run.rows.size(); ++t) jumps += number(run.rows[t], "f") > 1;
  CHECK(jumps > 0);
  CHECK_FALSE(run.result["global"]);
}

TEST_CASE("ReLU and clipped ReLU do not move at all at the spurious minimum") {
  for (const char* ste : {"relu", "clipped_relu"}) {
    CAPTURE(ste);
    const LabRun run = run_from(ste, "start: spurious_minimum, steps: 1000");
    CHECK(run.result["f"] == 0.125);
    CHECK(run.result["norm_w"] == 1);
    CHECK(run.result["theta"] == std::numbers::pi);
    CHECK(run.result["spurious"]);
    CHECK_FALSE(run.result["global"]);
  }
}

TEST_CASE("near the spurious minimum ReLU and clipped ReLU converge to it, identity is driven away") {
  const std::string start =
      "start: given, v: [-0.5, -0.5, 1.5], w: [-0.99875026039496628, 0.049979169270678331]";
  const auto check_monotone = [](const LabRun& run) {
    for (std::size_t t = 1; t < run.rows.size(); ++t)
      CHECK(number(run.rows[t], "f") - number(run.rows[t - 1], "f") < 1e-15);
    CHECK(run.result["largest_rise"] == 0);
    CHECK(run.result["rise_step"].is_null());
  };
  const LabRun relu = run_from("relu", start + ", steps: 1000, log_every: 1");
  CHECK(std::abs(number(relu.rows[0], "f") - 0.1448943679) < 1e-10);
  CHECK(std::abs(number(row_at(relu, 10), "f") - 0.1404077704) < 1e-10);
  CHECK(std::abs(number(row_at(relu, 100), "f") - 0.1266515547) < 1e-10);
  CHECK(std::abs(number(row_at(relu, 1000), "f") - 0.125) < 1e-10);
  CHECK(std::abs(number(row_at(relu, 1000), "norm_w") - 1.03136) < 5e-6);
  check_monotone(relu);
  CHECK(relu.result["spurious"]);
  const LabRun clipped = run_from("clipped_relu", start + ", steps: 1000, log_every: 1");
  CHECK(std::abs(number(row_at(clipped, 100), "f") - 0.1266349277) < 1e-10);
  CHECK(std::abs(number(row_at(clipped, 1000), "norm_w") - 1.01182) < 5e-6);
  check_monotone(clipped);
  const LabRun identity = run_from("identity", start + ", steps: 5000, log_every: 1");
  CHECK(std::abs(number(identity.rows[100], "f") - 0.1250194726) < 1e-10);
  CHECK(std::abs(number(identity.rows[100], "norm_w") - 0.51866) < 5e-6);
  for (std::size_t t = 1; t < 206; ++t)
    CHECK(number(identity.rows[t], "f") < number(identity.rows[t - 1], "f") + 0.01);
  CHECK(std::abs(number(identity.rows[206], "f") - number(identity.rows[205], "f") - 1.249) < 5e-4);
  CHECK_FALSE(identity.result["spurious"]);
  CHECK_FALSE(identity.result["global"]);
}

TEST_CASE("near the global minimum all three converge to it") {
  const std::string start =
      "start: given, v: [1.2, 0.8, -0.9], w: [0.70206604951229818, 0.38354043088336242]";
  const std::pair<const char*, double> cases[] = {
      {"relu", 0.1659508168}, {"clipped_relu", 0.1662037494}, {"identity", 0.1167824865}};
  for (const auto& [name, at_ten] : cases) {
    const std::string ste = name;
    CAPTURE(ste);
    const LabRun run = run_from(ste, start + ", steps: 5000");
    CHECK(std::abs(number(run.rows[0], "f") - 0.2432746675) < 1e-10);
    CHECK(std::abs(number(row_at(run, 10), "f") - at_ten) < 1e-10);
    CHECK(run.result["f"].get<double>() < 1e-10);
    CHECK(run.result["global"]);
  }
}

TEST_CASE("the inner product of coarse and true gradient is never negative") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    for (const LabRun& run : run_all("{name: two_layer_gaussian, steps: 200, start: random}", seed)) {
      CHECK(run.result["lowest_product"].get<double>() >= 0);
      CHECK(run.result["steps"] == 200);
    }
}

// The theory asks for |w| bounded from below and a small rate.
TEST_CASE("from random starts ReLU and clipped ReLU descend monotonically while w is not small") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    for (const LabRun& run :
         run_all("{name: two_layer_gaussian, stes: [relu, clipped_relu], steps: 2000, log_every: 1, "
                 "learning_rate: 0.02}",
                 seed))
      for (std::size_t t = 1; t < run.rows.size() && number(run.rows[t], "norm_w") > 0.25; ++t)
        CHECK(number(run.rows[t], "f") < number(run.rows[t - 1], "f") + 1e-12);
}

TEST_CASE("the saddle: ReLU stays, identity leaves") {
  CHECK(run_from("relu", "start: saddle, steps: 10").result["f"].get<double>() == doctest::Approx(9.0 / 22));
  const LabRun identity = run_from("identity", "start: saddle, steps: 0");
  CHECK(std::abs(number(identity.rows[0], "gradient_norm") - 0.0791290) < 1e-7);
}

TEST_CASE("empirical and stochastic descent approach the population's") {
  const std::string start =
      "start: given, v: [1.2, 0.8, -0.9], w: [0.70206604951229818, 0.38354043088336242]";
  for (const char* mode : {"empirical", "stochastic"}) {
    CAPTURE(mode);
    const LabRun run = run_from("relu", start + ", steps: 500, samples: [5000], mode: " + std::string(mode));
    CHECK(std::abs(number(row_at(run, 10), "f") - 0.1659508168) < 5e-3);
    CHECK(run.result["f"].get<double>() < 2e-3);
    CHECK(number(run.rows[0], "sample_loss") == doctest::Approx(0.2432746675).epsilon(0.1));
  }
  const LabRun fixed =
      run_from("relu", start + ", steps: 1, samples: [10], mode: empirical, learning_rate: 1.0e-30");
  const LabRun fresh =
      run_from("relu", start + ", steps: 1, samples: [10], mode: stochastic, learning_rate: 1.0e-30");
  CHECK(fixed.rows[0]["sample_loss"] == fixed.rows[1]["sample_loss"]);
  CHECK(fresh.rows[0] == fixed.rows[0]);
  CHECK(fresh.rows[0]["sample_loss"] != fresh.rows[1]["sample_loss"]);
}

TEST_CASE("figure 1: along the coarse gradient the samples' loss becomes one smooth valley as samples grow") {
  int valleys[3] = {};
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const std::vector<LabRun> runs = run_all(
        "{name: two_layer_gaussian, task: line_search, mode: empirical, stes: [relu], samples: [10, 50, "
        "100000], "
        "start: given, v: [0.7, 0.4, -1.1], w: [0.6, 0.9], largest_eta: 3, points: 30}",
        seed);
    REQUIRE(runs.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      REQUIRE(runs[i].rows.size() == 31);
      CHECK(runs[i].rows.front()["eta"] == 0);
      CHECK(runs[i].rows.back()["eta"] == 3);
      valleys[i] += runs[i].result["valleys"].get<int>();
    }
    for (const Json& row : runs[2].rows)
      CHECK(std::abs(number(row, "sample_loss") - number(row, "f")) < 0.02);
  }
  CHECK(valleys[1] > valleys[2]);
  CHECK(valleys[2] <= 5);
}

TEST_CASE("line search with exact expectations") {
  const LabRun run = run_from(
      "relu",
      "task: line_search, start: given, v: [0.7, 0.4, -1.1], w: [0.6, 0.9], largest_eta: 3, points: 30");
  CHECK(run.rows.size() == 31);
  CHECK(run.result["start_loss"] == run.rows[0]["f"]);
  CHECK(run.result["lowest_loss"] < run.result["start_loss"]);
  CHECK(run.result["valleys"].get<int>() <= 1);
  CHECK_FALSE(run.rows[0].contains("sample_loss"));
}

TEST_CASE("a run ends where w is 0, with no angle") {
  // With v orthogonal to v* and |v| = 1 identity's gradient is wh / sqrt(2 pi): rate 1 takes this w to 0.
  const LabRun run = run_from(
      "identity", "v_star: [1, 0], start: given, v: [0, 1], w: [0, 0.3989422804014327], learning_rate: 1");
  CHECK(run.rows.size() == 2);
  CHECK(run.result["steps"] == 1);
  CHECK(run.result["norm_w"] == 0);
  CHECK(run.result["theta"].is_null());
  CHECK(run.result["lowest_product"] == 0);
  CHECK(run.result["f"] == 0.25);
}

TEST_CASE("mistakes") {
  const auto holds = [](const std::string& keys, const std::string& part) {
    const std::string text = mistakes_of<LabSpec>("{name: two_layer_gaussian, " + keys + "}");
    return text.find(part) != std::string::npos;
  };
  CHECK(holds("stes: [hard_tanh]", "stes: holds hard_tanh, which has no closed form"));
  CHECK_FALSE(holds("stes: [hard_tanh], mode: empirical", "stes"));
  CHECK(holds("stes: []", "stes: is empty"));
  CHECK(holds("start: saddle, v_star: [1, 1, 1]", "start: is saddle, which exists only where"));
  CHECK(holds("start: given, v: [1], w: [1, 0]", "v: holds 1 numbers, must hold 3"));
  CHECK(holds("start: given, v: [1, 1, 1], w: [0, 0]", "w: is zero"));
  CHECK(holds("w_star: [0, 0]", "w_star: must hold"));
  CHECK(holds("sample: [3]", "unknown key, did you mean 'samples'?"));
  CHECK(mistakes_of<LabSpec>("{name: two_layer}").find("must be one of two_layer_gaussian") !=
        std::string::npos);
}

}  // namespace qtrain::labs
