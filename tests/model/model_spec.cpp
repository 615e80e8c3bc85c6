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

TEST_CASE("another start of weights and biases: of every convolution and linear layer, not beside init") {
  const Graph glorot = read_model("{name: lenet5, glorot_gain: 0.5, bias_deviation: 0.1}", {1, 28, 28});
  const Graph uniform = read_model("{name: mlp, uniform_bound: 2}", {1, 28, 28});
  for (const Graph* graph : {&glorot, &uniform})
    for (const Layer& layer : graph->layers) {
      const bool weighted = layer.op == Op::convolution || layer.op == Op::linear;
      CHECK((layer.init == (graph == &glorot ? Init::glorot_uniform : Init::uniform)) == weighted);
      CHECK(layer.deviation == (!weighted ? 0 : graph == &glorot ? 0.5 : 2));
      CHECK(layer.bias_deviation == (weighted && graph == &glorot ? 0.1 : 0));
    }
  CHECK(contains(mistakes_of("{name: mlp, glorot_gain: 1, uniform_bound: 1}", {1, 28, 28}),
                 "uniform_bound: stands beside glorot_gain"));
  CHECK(contains(mistakes_of("{name: mlp, init: a.safetensors, bias_deviation: 1}", {1, 28, 28}),
                 "bias_deviation: says how weights are drawn, but they come from init"));
  CHECK(contains(mistakes_of("{name: mlp, glorot_gain: 0}", {1, 28, 28}), "glorot_gain: is 0"));
  CHECK(contains(mistakes_of("{name: lstm, glorot_gain: 1}", {35}), "glorot_gain: unknown key"));
}

TEST_CASE("init names the file to start from") {
  spec::Document document = spec::Document::parse("{name: mlp, init: warm.safetensors}", "test.yaml");
  ModelSpec model;
  model.read(document.root(), {1, 4, 4}, 10);
  CHECK(model.name == "mlp");
  CHECK(model.init == "warm.safetensors");
}

}  // namespace qtrain::model
