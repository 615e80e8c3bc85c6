#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "datasets/dataset.hpp"
#include "read_spec.hpp"

namespace qtrain::datasets {
namespace {

TEST_CASE("dataset spec: every key") {
  const auto spec = read_spec<DatasetSpec>(
      "{name: cifar10, root: some/where, batch_size: 64, shuffle: false, "
      "augment: {crop_padding: 4, crop: 24, flip: true, brightness: 63, contrast: [0.2, 1.8]}, "
      "standardize: image, "
      "limit: {train: 100, test: 10000}, if_missing: shapes10}");
  CHECK(spec.name == "cifar10");
  CHECK(spec.root == "some/where");
  CHECK(spec.batch_size == 64);
  CHECK(!spec.shuffle);
  CHECK(spec.augment.crop_padding == 4);
  CHECK(spec.augment.crop == 24);
  CHECK(spec.augment.flip);
  CHECK(spec.augment.brightness == 63);
  CHECK(spec.augment.contrast == std::vector<double>{0.2, 1.8});
  CHECK(spec.standardize == "image");
  CHECK(spec.sample_shape(*find("cifar10")) == Shape{3, 24, 24});
  CHECK(spec.limit.train == 100);
  CHECK(spec.limit.test == 10000);
  CHECK(spec.if_missing == "shapes10");
}

TEST_CASE("dataset spec: defaults") {
  const auto spec = read_spec<DatasetSpec>("{}");
  CHECK(spec.name == "shapes10");
  CHECK(spec.batch_size == 128);
  CHECK(spec.shuffle);
  CHECK(spec.augment.crop_padding == 0);
  CHECK(spec.augment.crop == 0);
  CHECK(!spec.augment.flip);
  CHECK(spec.augment.brightness == 0);
  CHECK(spec.augment.contrast.empty());
  CHECK(spec.standardize == "dataset");
  CHECK(spec.sample_shape(*find("mnist")) == Shape{1, 28, 28});
  CHECK(spec.limit.train == 0);
  CHECK(spec.if_missing == "");
  CHECK(read_spec<DatasetSpec>("{name: mnist, if_missing: ''}").if_missing == "");
}

TEST_CASE("dataset spec: mistakes are all reported, at their place") {
  const auto expect = [](const std::string& yaml, const std::string& part) {
    const std::string mistakes = mistakes_of<DatasetSpec>(yaml);
    INFO("mistakes: ", mistakes);
    CHECK(mistakes.find(part) != std::string::npos);
  };
  expect("{name: cifar11}", "cifar10");
  expect("{batch_size: 0}", "test.yaml:1:14: batch_size: ");
  expect("{batch_size: 65537}", "batch_size");
  expect("{augment: {crop_padding: -1}}", "augment.crop_padding");
  expect("{augment: {flipp: true}}", "did you mean 'flip'");
  expect("{name: mnist, augment: {crop: 29}}",
         "augment.crop: is 29, must be at most 28, the images of mnist being 28x28");
  expect("{augment: {contrast: [1.8, 0.2]}}",
         "augment.contrast: is [1.8, 0.2], must be two numbers, low < high");
  expect("{augment: {contrast: [1]}}", "augment.contrast: is [1], must be two numbers");
  expect("{augment: {contrast: [-1, 1]}}", "augment.contrast");
  expect("{augment: {brightness: 256}}", "augment.brightness");
  expect("{standardize: images}", "did you mean 'image'");
  expect("{limit: {train: 50001}}", "limit.train");
  expect("{name: mnist, limit: {test: 10001}}", "limit.test");
  expect("{name: mnist, held_out: 60000}", "held_out: is 60000, must be less than the 60000 training images");
  expect("{limit: {train: 100}, held_out: 100}",
         "held_out: is 100, must be less than the 100 training images");
  expect("{held_out: -1}", "held_out: is -1");
  expect("{name: cifar10, if_missing: mnist}",
         "if_missing: is 'mnist', must be a generated data set (shapes10) or empty");
  expect("{name: cifar10, if_missing: shapes}", "is 'shapes', must be a generated data set");
  expect("{bach_size: 4}", "did you mean 'batch_size'");
  expect("{name: mnist, sequence: 10}", "sequence: does not apply to mnist, which is a set of images");
  expect("{name: mnist, evaluate: test}", "evaluate: does not apply to mnist");
  CHECK(mistakes_of<DatasetSpec>("{name: mnist, limit: {train: 60000}}") == "");
  const std::string unknown =
      mistakes_of<DatasetSpec>("{name: markov_texts, sequence: 10, augment: {flip: true}}");
  CHECK(unknown.find("did you mean 'markov_text'") != std::string::npos);
  CHECK(unknown.find("sequence") == std::string::npos);
}

TEST_CASE("dataset spec: keys of a text, and what they default to") {
  const auto spec = read_spec<DatasetSpec>(
      "{name: penn_treebank, root: some/where, batch_size: 20, sequence: 35, evaluate: test, "
      "limit: {train: 10000, test: 82430}, if_missing: markov_text}");
  const Entry& entry = *find("penn_treebank");
  CHECK(spec.batch_size == 20);
  CHECK(spec.sequence == 35);
  CHECK(spec.evaluate == "test");
  CHECK(spec.sample_shape(entry) == Shape{35});
  CHECK(spec.train_count(entry) == 10000);
  CHECK(spec.test_count(entry) == 82430);
  CHECK(spec.steps_per_epoch(entry) == 14);  // 9999 / 20 = 499, 499 / 35 = 14
  const auto plain = read_spec<DatasetSpec>("{name: war_and_peace}");
  CHECK(plain.sequence == 100);
  CHECK(plain.evaluate == "validation");
  CHECK(plain.test_count(*find("war_and_peace")) == 325825);
  CHECK(plain.steps_per_epoch(*find("war_and_peace")) == 203);  // 2606595 / 128 = 20364
  CHECK(read_spec<DatasetSpec>("{limit: {train: 129}}").steps_per_epoch(*find("shapes10")) == 2);
}

TEST_CASE("dataset spec: only keys that say something about a text are in its resolved spec") {
  spec::Document document = spec::Document::parse("{name: markov_text}", "test.yaml");
  DatasetSpec spec;
  spec.read(document.root());
  CHECK(document.resolved().dump() ==
        R"({"name":"markov_text","root":"","batch_size":128,"sequence":100,"evaluate":"validation",)"
        R"("limit":{"train":0,"test":0},"if_missing":""})");
}

TEST_CASE("dataset spec: mistakes about a text") {
  const auto expect = [](const std::string& yaml, const std::string& part) {
    const std::string mistakes = mistakes_of<DatasetSpec>(yaml);
    INFO("mistakes: ", mistakes);
    CHECK(mistakes.find(part) != std::string::npos);
  };
  expect("{name: markov_text, sequence: 0}", "sequence: is 0");
  expect("{name: markov_text, sequence: 65537}", "sequence");
  expect("{name: markov_text, evaluate: train}", "evaluate: is 'train'");
  expect("{name: markov_text, augment: {flip: true}}",
         "test.yaml:1:30: augment: does not apply to markov_text, which is a text: must be left out");
  expect("{name: markov_text, standardize: image}", "standardize: does not apply");
  expect("{name: markov_text, shuffle: true}", "shuffle: does not apply");
  expect("{name: markov_text, held_out: 10}", "held_out: does not apply");
  expect("{name: markov_text, limit: {train: 200001}}", "limit.train");
  expect("{name: penn_treebank, limit: {test: 73761}}", "limit.test");
  CHECK(mistakes_of<DatasetSpec>("{name: penn_treebank, evaluate: test, limit: {test: 73761}}") == "");
  expect("{name: penn_treebank, if_missing: shapes10}",
         "if_missing: is 'shapes10', must be a generated text (markov_text) or empty");
  expect("{name: cifar10, if_missing: markov_text}", "must be a generated data set (shapes10) or empty");
}

TEST_CASE("dataset spec: a text must have tokens for one step, and one more") {
  const auto mistakes = [](const std::string& keys) {
    return mistakes_of<DatasetSpec>("{name: markov_text, batch_size: 10, sequence: 20, " + keys + "}");
  };
  CHECK(mistakes("limit: {train: 201, test: 201}") == "");
  CHECK(mistakes("limit: {train: 200}")
            .find("batch_size: is 10, must be at most 9 with sequence 20: 200 "
                  "tokens are to train on") != std::string::npos);
  CHECK(mistakes("limit: {test: 200}").find("200 tokens are to evaluate on") != std::string::npos);
  CHECK(mistakes("limit: {train: 20}").find("sequence: is 20, must be less than the 20 tokens to train on") !=
        std::string::npos);
  const std::string stand_in = mistakes_of<DatasetSpec>(
      "{name: war_and_peace, batch_size: 1000, sequence: 1000, if_missing: markov_text}");
  CHECK(stand_in.find("must be at most 199 with sequence 1000: 200000 tokens are to train on") !=
        std::string::npos);
}

}  // namespace
}  // namespace qtrain::datasets
