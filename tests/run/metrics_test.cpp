// The sections of metrics.json and what the terminal makes of them, of images and of language models.
#include "run/metrics.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

namespace qtrain::run {
namespace {

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

train::EpochRecord record(int epoch, double val_loss, double val_accuracy) {
  train::EpochRecord result;
  result.epoch = epoch;
  result.stage = 1;
  result.train_loss = 1.5;
  result.val_loss = val_loss;
  result.val_accuracy = val_accuracy;
  result.quantized_val_loss = 1.75;
  result.quantized_val_accuracy = 0.25;
  result.float_val_loss = std::numeric_limits<double>::quiet_NaN();
  return result;
}

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& item : object.items()) keys.push_back(item.key());
  return keys;
}

constexpr RowKinds kTexts = {.language_model = true};

std::vector<Json> rows_of(bool language_model) {
  return {epoch_row(record(1, 2, 0.5), language_model), epoch_row(record(2, 1.25, 0.25), language_model),
          epoch_row(record(3, 1.25, 0.125), language_model),
          epoch_row(record(4, 1.5, 0.375), language_model)};
}

ExperimentSpec expecting(const std::string& metric, double value) {
  ExperimentSpec experiment;
  experiment.expect = {
      .metric = metric, .value = value, .weights = "", .tolerance = 0.1, .source = "Table 1"};
  return experiment;
}

/// The lines of the table of these results.
std::string table_of(const Json& result, const Json& expected) {
  const Json metrics = {{"name", "n"},
                        {"dataset", {{"used", "d"}, {"requested", "d"}}},
                        {"result", result},
                        {"expected", expected}};
  std::string text;
  for (const std::string& line : result_table(metrics)) text += line + "\n";
  return text;
}

}  // namespace

TEST_CASE("perplexity: exp of the loss, null where that is no finite number") {
  CHECK(perplexity(0.0) == 1.0);
  CHECK(perplexity(1.5).get<double>() == doctest::Approx(4.481689070338065).epsilon(1e-15));
  for (const Json& loss : {Json(1000.0), Json(std::numeric_limits<double>::quiet_NaN()),
                           Json(std::numeric_limits<double>::infinity()), Json()})
    CHECK(perplexity(loss).is_null());
}

TEST_CASE("an epoch's row: perplexities beside losses, of language models alone") {
  CHECK(keys_of(epoch_row(record(1, 2, 0.5), false)) ==
        std::vector<std::string>{"epoch", "stage", "learning_rate", "train_loss", "train_accuracy",
                                 "val_loss", "val_accuracy", "quantized_val_loss", "quantized_val_accuracy",
                                 "float_val_loss", "float_val_accuracy"});
  const Json row = epoch_row(record(1, 2, 0.5), true);
  CHECK(keys_of(row) ==
        std::vector<std::string>{"epoch", "stage", "learning_rate", "train_loss", "train_perplexity",
                                 "train_accuracy", "val_loss", "val_perplexity", "val_accuracy",
                                 "quantized_val_loss", "quantized_val_perplexity", "quantized_val_accuracy",
                                 "float_val_loss", "float_val_perplexity", "float_val_accuracy"});
  CHECK(row["train_perplexity"] == std::exp(1.5));
  CHECK(row["val_perplexity"] == std::exp(2.0));
  CHECK(row["quantized_val_perplexity"] == std::exp(1.75));
  CHECK(row["float_val_perplexity"].is_null());
}

TEST_CASE("the result: the last row's numbers, and the best of all rows, the last of equals") {
  const Json images = result_section("done", rows_of(false), nullptr, {});
  CHECK(keys_of(images) ==
        std::vector<std::string>{"status", "train_loss", "train_accuracy", "val_loss", "val_accuracy",
                                 "quantized_val_loss", "quantized_val_accuracy", "float_val_loss",
                                 "float_val_accuracy", "best_val_accuracy", "best_epoch", "epochs"});
  CHECK(images["best_val_accuracy"] == 0.5);
  CHECK(images["best_epoch"] == 1);
  CHECK(images["val_accuracy"] == 0.375);
  const Json text = result_section("done", rows_of(true), nullptr, kTexts);
  CHECK(text["val_perplexity"] == std::exp(1.5));
  CHECK(text["best_val_perplexity"] == std::exp(1.25));
  CHECK(text["best_val_accuracy"] == 0.5);
  CHECK(text["best_epoch"] == 3);
  CHECK(text["epochs"] == 4);
}

TEST_CASE("the result with images held out: test numbers of the last epoch and of the best on those") {
  std::vector<Json> rows;
  for (const double accuracy : {0.5, 0.75, 0.75, 0.25}) {
    train::EpochRecord tested = record(static_cast<int>(rows.size()) + 1, 1, accuracy);
    tested.quantized_val_accuracy = rows.size() == 1 ? 0.5 : 0.375;
    const double here = 0.1 * static_cast<double>(rows.size());
    tested.test = {.loss = 2, .accuracy = here, .quantized_loss = 3, .quantized_accuracy = 0.5 + here};
    rows.push_back(epoch_row(tested, false));
  }
  const Json result = result_section("done", rows, nullptr, {.tested = true});
  CHECK(result["test_loss"] == 2);
  CHECK(result["quantized_test_loss"] == 3);
  CHECK(result["test_accuracy"] == rows[3]["test_accuracy"]);
  CHECK(result["best_epoch"] == 3);
  CHECK(result["best_quantized_epoch"] == 2);
  CHECK(result["best_quantized_val_accuracy"] == 0.5);
  CHECK(result["test_accuracy_at_best_val"] == 0.2);
  CHECK(result["quantized_test_accuracy_at_best_val"] == 0.6);
  CHECK(expected_section(expecting("test_accuracy", 0.65), result)["met"] == true);
  Json broken = result;
  broken["status"] = "diverged";
  CHECK(expected_section(expecting("test_accuracy", 0.65), broken)["met"] == false);
  ExperimentSpec of_training = expecting("test_accuracy", 0.65);
  CHECK_FALSE(expected_section(of_training, result).contains("weights"));
  of_training.expect->weights = "training";
  CHECK(expected_section(of_training, result)["met"] == false);
  CHECK(expected_section(of_training, result)["weights"] == "training");
  const std::string table = table_of(result, expected_section(expecting("test_accuracy", 0.85), result));
  for (const char* line : {"  quantized test accuracy   80.00 %\n", "    best val, epoch 2       60.00 %\n",
                           "  test accuracy             30.00 %\n", "    best val, epoch 3       20.00 %\n",
                           "  expected                  85.00 %, not met (Table 1)\n"})
    CHECK_MESSAGE(holds(table, line), line << "not in\n" << table);
  CHECK(holds(table_of(result, expected_section(of_training, result)),
              "  expected                  65.00 % with the weights of training, not met (Table 1)\n"));

  rows[3]["stage"] = 2;  // what an earlier stage reached is none of the last one's
  const Json staged = result_section("done", rows, nullptr, {.tested = true});
  CHECK(staged["best_val_accuracy"] == 0.25);
  CHECK(staged["best_epoch"] == 4);
  CHECK(staged["quantized_test_accuracy_at_best_val"] == 0.8);
  const Json evaluated = result_section("done", rows, rows[0], {.tested = true});
  CHECK(evaluated["quantized_test_accuracy_at_best_val"] == 0.5);
  const Json nothing = result_section("diverged", {}, nullptr, {.tested = true});
  for (const char* key : {"test_accuracy", "quantized_test_loss", "quantized_test_accuracy_at_best_val"})
    CHECK_MESSAGE(nothing[key].is_null(), key);
}

TEST_CASE("the result without rows: what was evaluated at the start, or nothing") {
  const Json initial = epoch_row(record(0, 2, 0.5), true);
  const Json evaluated = result_section("done", {}, initial, kTexts);
  CHECK(evaluated["best_val_perplexity"] == std::exp(2.0));
  CHECK(evaluated["best_epoch"] == 0);
  const Json nothing = result_section("diverged", {}, nullptr, kTexts);
  for (const char* key : {"val_loss", "val_perplexity", "best_val_perplexity", "best_val_accuracy"})
    CHECK_MESSAGE(nothing[key].is_null(), key);
}

TEST_CASE("an expected accuracy is met from below, perplexity and loss from above") {
  const auto met = [](const std::string& metric, double expected, double reached) {
    const Json section = expected_section(expecting(metric, expected),
                                          Json{{"status", "done"}, {"quantized_" + metric, reached}});
    CHECK(section[metric] == expected);
    CHECK(section["tolerance"] == 0.1);
    return section["met"].get<bool>();
  };
  CHECK(met("val_accuracy", 0.5, 0.41));
  CHECK_FALSE(met("val_accuracy", 0.5, 0.39));
  CHECK(met("val_perplexity", 100, 109));
  CHECK(met("val_perplexity", 100, 3));
  CHECK_FALSE(met("val_perplexity", 100, 111));
  CHECK(met("val_loss", 2, 2.19));
  CHECK_FALSE(met("val_loss", 2, 2.21));
  CHECK(expected_section(expecting("val_perplexity", 9), Json{{"quantized_val_perplexity", Json()}})["met"] ==
        false);
  CHECK(expected_section(ExperimentSpec(), Json::object()).is_null());
}

TEST_CASE("the table: accuracies of images; perplexities, then accuracies, of language models") {
  const Json images = result_section("done", rows_of(false), nullptr, {});
  const Json accuracy = expected_section(expecting("val_accuracy", 0.5), images);
  CHECK(table_of(images, accuracy) ==
        "n\n"
        "  status                    done\n"
        "  dataset                   d\n"
        "  epochs                    4\n"
        "  train accuracy            0.00 %\n"
        "  val accuracy              37.50 %\n"
        "  quantized val accuracy    25.00 %\n"
        "  best val accuracy         50.00 %\n"
        "  expected                  50.00 %, not met (Table 1)\n");
  Json text = result_section("done", rows_of(true), nullptr, kTexts);
  const std::string table = table_of(text, expected_section(expecting("val_perplexity", 5.5), text));
  for (const char* line : {"  train perplexity          4.48\n", "  val perplexity            4.48\n",
                           "  quantized val perplexity  5.75\n", "  best val perplexity       3.49\n",
                           "  best val accuracy         50.00 %\n",
                           "  expected                  perplexity 5.50, met (Table 1)\n"})
    CHECK_MESSAGE(holds(table, line), line << "not in\n" << table);
  text["val_perplexity_deviation"] = 0.125;
  text["best_val_perplexity"] = nullptr;
  const std::string several = table_of(text, expected_section(expecting("val_loss", 1.5), text));
  for (const char* line : {"    standard deviation      0.12\n", "  best val perplexity       -\n",
                           "  expected                  loss 1.5000, not met (Table 1)\n"})
    CHECK_MESSAGE(holds(several, line), line << "not in\n" << several);
}

}  // namespace qtrain::run
