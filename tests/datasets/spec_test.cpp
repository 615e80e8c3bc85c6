#include <doctest/doctest.h>

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
  CHECK(spec.image_shape(*find("cifar10")) == Shape{3, 24, 24});
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
  CHECK(spec.image_shape(*find("mnist")) == Shape{1, 28, 28});
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
  expect("{name: cifar10, if_missing: mnist}",
         "if_missing: is 'mnist', must be a generated data set (shapes10) or empty");
  expect("{name: cifar10, if_missing: shapes}", "is 'shapes', must be a generated data set");
  expect("{bach_size: 4}", "did you mean 'batch_size'");
  CHECK(mistakes_of<DatasetSpec>("{name: mnist, limit: {train: 60000}}") == "");
}

}  // namespace
}  // namespace qtrain::datasets
