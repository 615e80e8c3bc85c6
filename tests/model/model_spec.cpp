// The `model:` section: what is wrong is said at its place.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "model/graph.hpp"
#include "model/read_model.hpp"

namespace qtrain::model {

TEST_CASE("a model that cannot take the images is a mistake of its name") {
  const std::string lenet = mistakes_of("name: lenet5\n", {1, 8, 8});
  CHECK(contains(lenet, "test.yaml:1:"));
  CHECK(contains(lenet, "name: layer conv2 of lenet5"));
  CHECK(contains(mistakes_of("name: vgg11", {3, 16, 16}), "layer pool5 of vgg11"));
  CHECK(mistakes_of("name: lenet5", {1, 12, 12}) == "");
  CHECK(mistakes_of("name: resnet20", {1, 1, 1}) == "");
}

TEST_CASE("an unknown model, key or value is a mistake with a suggestion") {
  CHECK(contains(mistakes_of("name: resnet21", {3, 32, 32}), "resnet2"));
  CHECK(contains(mistakes_of("{name: lenet5, widht: large}", {1, 28, 28}), "did you mean 'width'"));
  CHECK(contains(mistakes_of("{name: lenet5, width: 6}", {1, 28, 28}), "small"));
  CHECK(contains(mistakes_of("{name: resnet20, shortcut: b}", {3, 32, 32}), "shortcut"));
  CHECK(contains(mistakes_of("{name: resnet20, width: 0}", {3, 32, 32}), "width"));
  CHECK(contains(mistakes_of("{name: mlp, widths: [5, -1]}", {3, 32, 32}), "widths"));
  CHECK(contains(mistakes_of("{name: vgg11, width: 16}", {3, 32, 32}), "width"));
}

TEST_CASE("the resolved section holds every default of the chosen model") {
  spec::Document document = spec::Document::parse("{name: resnet32, width: 5}", "test.yaml");
  ModelSpec model;
  model.read(document.root(), {3, 32, 32}, 10);
  CHECK(document.diagnostics().empty());
  CHECK(document.resolved().dump() ==
        R"({"name":"resnet32","init":"","shortcut":"a","batch_norm_affine":true,"width":5})");
}

TEST_CASE("init names the file to start from") {
  spec::Document document = spec::Document::parse("{name: mlp, init: warm.safetensors}", "test.yaml");
  ModelSpec model;
  model.read(document.root(), {1, 4, 4}, 10);
  CHECK(model.name == "mlp");
  CHECK(model.init == "warm.safetensors");
}

}  // namespace qtrain::model
