#include <doctest/doctest.h>

#include "model/builder.hpp"
#include "model/read_model.hpp"

namespace qtrain::model {
namespace {

const Layer& layer_named(const Graph& graph, const std::string& name) {
  for (const Layer& layer : graph.layers)
    if (layer.name == name) return layer;
  fail(ExitCode::failed, "there is no layer {}", name);
}

std::size_t weights_of(const Graph& graph) {
  std::size_t count = 0;
  for (const Parameter& parameter : parameters(graph)) count += element_count(parameter.shape);
  return count;
}

}  // namespace

TEST_CASE("the language model of ProxQuant on Penn Treebank") {
  const Graph graph =
      read_model("{name: lstm, hidden: 300, embedding: 300, dropout: 0.5, forget_bias: 0}", {30}, 10000);
  // Embedding and decoder 10,000 x 300, its biases, W and U 1,200 x 300, b.
  CHECK(weights_of(graph) == 2 * 10000 * 300 + 10000 + 2 * 1200 * 300 + 1200);
  CHECK(layer_named(graph, "drop0").rate == 0.5);
  CHECK(layer_named(graph, "drop1").rate == 0.5);
  const Layer& recurrent = layer_named(graph, "lstm1.recurrent");
  CHECK((recurrent.channels == 300 && recurrent.bias && recurrent.initial_bias == 0));
  for (const Parameter& parameter : parameters(graph)) {
    if (parameter.name == "embedding.weight") CHECK(parameter.shape == Shape{10000, 300});
    if (parameter.name == "lstm1.input.weight") CHECK(parameter.shape == Shape{1200, 300, 1, 1});
    if (parameter.name == "lstm1.recurrent.weight") CHECK(parameter.shape == Shape{1200, 300});
    if (parameter.name == "lstm1.recurrent.bias") CHECK(parameter.shape == Shape{1200});
  }
}

TEST_CASE("without an embedding the first layer reads tokens; weights start within 1 / sqrt(hidden)") {
  const Graph graph = read_model("{name: lstm, hidden: 16, layers: 2}", {5}, 87);
  CHECK(layer_named(graph, "lstm1.input").op == Op::embedding);
  CHECK(layer_named(graph, "lstm1.input").channels == 64);
  CHECK(layer_named(graph, "lstm2.input").op == Op::convolution);
  CHECK(infer_shapes(graph).back() == Shape{87, 5, 1});
  for (const Layer& layer : graph.layers)
    if (layer.op != Op::input) CHECK((layer.init == Init::uniform && layer.deviation == 0.25));
  const std::vector<std::int64_t> macs = multiply_accumulates(graph);
  CHECK(macs[1] == 0);                // a lookup
  CHECK(macs[2] == 5 * 64 * 16);      // U
  CHECK(macs.back() == 5 * 87 * 16);  // D
}

TEST_CASE("models of images and of text are told apart") {
  CHECK(contains(mistakes_of("name: lstm", {3, 32, 32}),
                 "is lstm, which takes text, must be a model of images"));
  CHECK(contains(mistakes_of("name: resnet20", {35}),
                 "is resnet20, which takes images, must be a model of text"));
  CHECK(contains(mistakes_of("{name: lstm, hiden: 3}", {35}), "did you mean 'hidden'"));
}

TEST_CASE("layers of sequences refuse what they cannot read") {
  Builder image("net", {3, 4, 4}, 10);
  image.embedding("embedding", Builder::kInput, 8);
  CHECK_THROWS_WITH_AS(infer_shapes(image.take()), doctest::Contains("needs a sequence of tokens"), Error);
  Builder gates("net", {7}, 10);
  gates.lstm("lstm", gates.embedding("gates", Builder::kInput, 12), 4, 1);
  CHECK_THROWS_WITH_AS(infer_shapes(gates.take()), doctest::Contains("need 4 gates each"), Error);
}

}  // namespace qtrain::model
