// What a lab leaves: one entry a run, means over seeds, the table, the status.
#include "run/lab_run.hpp"

#include <doctest/doctest.h>

#include "run/json_text.hpp"
#include "run/statistics.hpp"
#include "temporary_folder.hpp"

namespace qtrain::run {
namespace {

Json run(const std::string& text, int threads = 1) {
  spec::Document document = spec::Document::parse(text, "t.yaml");
  ExperimentSpec experiment = read_experiment(document);
  experiment.lab->threads = threads;
  const testing::TemporaryFolder place;
  const Folder folder(place / "run", false);
  Console console(true);
  return run_lab(experiment, experiment.resolved, folder, console);
}

}  // namespace

TEST_CASE("statistics") {
  CHECK(mean({1, 2, 6}) == 3);
  CHECK(median({6, 1, 2}) == 2);
  CHECK(median({6, 1, 2, 3}) == 2.5);
  CHECK(deviation({1, 3}) == doctest::Approx(1.4142135623730951));
}

TEST_CASE("a lab's metrics: one entry a seed and case, one summary a case") {
  const std::string text =
      "name: a\nseeds: [4, 5, 6]\nlab: {name: subspace_classifier, angles: [90, 60], iterations: 120}\n";
  const Json metrics = run(text);
  CHECK(metrics["lab"] == "subspace_classifier");
  CHECK(metrics["name"] == "a");
  REQUIRE(metrics["runs"].size() == 6);
  CHECK(metrics["runs"][3]["seed"] == 5);
  CHECK(metrics["runs"][3]["angle"] == 60);
  CHECK(metrics["runs"][3]["rows"].size() > 3);
  const Json& result = metrics["result"];
  CHECK(result["status"] == "done");
  CHECK(result["seeds"] == 3);
  REQUIRE(result["cases"].size() == 2);
  std::vector<double> norms, iterations;
  double converged = 0;
  for (std::size_t i = 0; i < 6; i += 2) {
    const Json& own = metrics["runs"][i]["result"];
    norms.push_back(own["norm"]);
    if (own["iterations"].is_number()) iterations.push_back(own["iterations"]);
    converged += own["converged"].get<bool>() ? 1 : 0;
  }
  const Json& first = result["cases"][0];
  CHECK(first["norm"] == mean(norms));
  CHECK(first["norm_median"] == median(norms));
  CHECK(first["norm_deviation"] == deviation(norms));
  CHECK(first["converged"] == converged / 3);
  CHECK((iterations.empty() ? first["iterations"].is_null() : first["iterations"] == mean(iterations)));
  CHECK(indented_text(run(text, 3)) == indented_text(metrics));
}

TEST_CASE("a lab's table has a line a case, and says what of several seeds it shows") {
  const std::vector<std::string> one = lab_table(run("lab: {name: two_layer_gaussian, steps: 10}\n"));
  REQUIRE(one.size() == 5);
  CHECK(one[0] == "experiment done");
  CHECK(one[1].find("  ste           steps") == 0);
  CHECK(one[2].find("  identity         10") == 0);
  const std::vector<std::string> many =
      lab_table(run("seeds: [1, 2]\nlab: {name: subspace_classifier, angles: [90], iterations: 1}\n"));
  CHECK(many[0] == "experiment done, medians over 2 seeds");
  CHECK(many[2].find("0/2           -") != std::string::npos);
}

TEST_CASE("a lab whose numbers overflow has diverged, and writes null for them") {
  const Json metrics =
      run("lab: {name: linear_regression, dimensions: [4], steps: 50, patience: 0, weights: {method: none},"
          " optimizer: {name: sgd, learning_rate: 1.0e+30}}\n");
  CHECK(metrics["result"]["status"] == "diverged");
  const std::string text = indented_text(metrics);
  CHECK(text.find("null") != std::string::npos);
  for (const char* word : {"nan", "inf"}) CHECK(text.find(word) == std::string::npos);
  for (const std::string& line : lab_table(metrics)) CHECK(line.find("inf") == std::string::npos);
}

}  // namespace qtrain::run
