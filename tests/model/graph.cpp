// Shapes, parameters and multiply-accumulates of small graphs written by hand.
#include "model/graph.hpp"

#include <doctest/doctest.h>

#include "base/error.hpp"
#include "model/builder.hpp"

namespace qtrain::model {
namespace {

/// The sentence of the Error (usage) that infer_shapes throws; "" when it throws none.
std::string refusal(const Graph& graph) {
  try {
    infer_shapes(graph);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("convolution shapes round down") {
  Builder net("net", {3, 19, 7}, 10);
  const int same = net.convolution("same", Builder::kInput, {.channels = 5});
  const int strided = net.convolution("strided", same, {.channels = 6, .stride = 2});
  net.convolution("valid", strided, {.channels = 7, .kernel = 4, .stride = 3, .padding = 0});
  const std::vector<Shape> shapes = infer_shapes(net.take());
  CHECK(shapes == std::vector<Shape>{{3, 19, 7}, {5, 19, 7}, {6, 10, 4}, {7, 3, 1}});
}

TEST_CASE("pooling, shortcut and flatten shapes") {
  Builder net("net", {3, 9, 8}, 10);
  const int pooled = net.max_pool("pool", Builder::kInput, 2);
  const int padded = net.shortcut_pad("pad", pooled, 8, 2);
  const int again = net.shortcut_pad("again", padded, 8, 2);
  const int mean = net.global_average_pool("mean", again);
  net.linear("fc", net.flatten("flatten", mean), 4);
  const std::vector<Shape> shapes = infer_shapes(net.take());
  CHECK(shapes == std::vector<Shape>{{3, 9, 8}, {3, 4, 4}, {8, 2, 2}, {8, 1, 1}, {8, 1, 1}, {8}, {4}});
}

TEST_CASE("average pool counts padding in its shape") {
  Graph graph;
  graph.input = {2, 5, 5};
  graph.layers.resize(2);
  graph.layers[1].op = Op::average_pool;
  graph.layers[1].inputs = {0};
  graph.layers[1].kernel = 3;
  graph.layers[1].stride = 2;
  graph.layers[1].padding = 1;
  CHECK(infer_shapes(graph)[1] == Shape{2, 3, 3});
}

TEST_CASE("end padding is added once, and a response norm keeps its input's shape") {
  Builder net("net", {2, 6, 5}, 10);
  const int x = net.max_pool("pool", Builder::kInput, {.size = 3, .stride = 2, .end_padding = 1});
  net.local_response_norm("norm", x, {});
  const std::vector<Shape> shapes = infer_shapes(net.take());
  CHECK(shapes == std::vector<Shape>{{2, 6, 5}, {2, 3, 2}, {2, 3, 2}});

  Builder flat("net", {1, 4, 4}, 2);
  flat.local_response_norm("norm", flat.flatten("flatten", Builder::kInput), {});
  CHECK(contains(refusal(flat.take()), "layer norm of net: needs an image CxHxW but its input is 16"));
}

TEST_CASE("a stride-2 shortcut has the shape of a padded stride-2 convolution at any size") {
  for (std::int64_t size = 1; size < 10; ++size) {
    Builder net("net", {3, size, size}, 10);
    const int left = net.convolution("conv", Builder::kInput, {.channels = 6, .stride = 2});
    net.add("add", left, net.shortcut_pad("pad", Builder::kInput, 6, 2));
    CHECK(refusal(net.take()) == "");
  }
}

TEST_CASE("parameters come in layer order as weight, bias, gamma, beta") {
  Builder net("net", {3, 4, 4}, 2);
  int x = net.convolution("conv", Builder::kInput, {.channels = 5, .kernel = 3, .bias = true});
  x = net.batch_norm("plain", x, false);
  x = net.batch_norm("bn", x, true);
  net.linear("fc", net.flatten("flatten", x), 2);
  const std::vector<Parameter> all = parameters(net.take());
  REQUIRE(all.size() == 6);
  CHECK(all[0].name == "conv.weight");
  CHECK(all[0].shape == Shape{5, 3, 3, 3});
  CHECK(all[1].name == "conv.bias");
  CHECK(all[1].shape == Shape{5});
  CHECK(all[1].kind == Parameter::Kind::bias);
  CHECK(all[2].name == "bn.gamma");
  CHECK(all[2].layer == 3);
  CHECK(all[3].name == "bn.beta");
  CHECK(all[3].kind == Parameter::Kind::beta);
  CHECK(all[4].name == "fc.weight");
  CHECK(all[4].shape == Shape{2, 80});
  CHECK(all[5].shape == Shape{2});
}

TEST_CASE("multiply-accumulates of a convolution and a linear layer") {
  Builder net("net", {3, 8, 6}, 2);
  const int x = net.convolution("conv", Builder::kInput, {.channels = 5, .stride = 2, .bias = true});
  net.linear("fc", net.flatten("flatten", x), 2);
  const std::vector<std::int64_t> counts = multiply_accumulates(net.take());
  CHECK(counts == std::vector<std::int64_t>{0, 5 * 4 * 3 * 27, 0, 2 * 60});
}

TEST_CASE("a layer whose input does not fit is named") {
  Builder big("net", {1, 3, 9}, 2);
  big.convolution("wide", Builder::kInput, {.channels = 2, .kernel = 6, .padding = 1});
  const std::string window = refusal(big.take());
  CHECK(contains(window, "layer wide of net"));
  CHECK(contains(window, "6x6 window does not fit its 1x3x9 input padded by 1"));

  Builder sum("net", {1, 4, 4}, 2);
  sum.add("sum", Builder::kInput, sum.convolution("conv", Builder::kInput, {.channels = 2}));
  CHECK(contains(refusal(sum.take()), "layer sum of net: adds 1x4x4 to 2x4x4"));

  Builder flat("net", {1, 4, 4}, 2);
  flat.linear("fc", Builder::kInput, 2);
  CHECK(contains(refusal(flat.take()), "layer fc of net: needs a vector but its input is 1x4x4"));

  Builder late("net", {1, 4, 4}, 2);
  late.max_pool("pool", late.flatten("flatten", Builder::kInput), 2);
  CHECK(contains(refusal(late.take()), "layer pool of net: needs an image CxHxW but its input is 16"));

  Builder narrower("net", {4, 4, 4}, 2);
  narrower.shortcut_pad("pad", Builder::kInput, 3, 1);
  CHECK(contains(refusal(narrower.take()), "layer pad of net: pads 4 channels to 3"));
}

TEST_CASE("an input that is neither image nor sequence is refused") {
  CHECK(contains(refusal(Builder("net", {28, 28}, 2).take()), "input is 28x28, must be an image"));
  CHECK(contains(refusal(Builder("net", {0}, 2).take()), "input is 0"));
  CHECK(contains(refusal(Builder("net", {1, 0, 4}, 2).take()), "input is 1x0x4"));
}

TEST_CASE("edges to later layers and missing inputs are internal errors") {
  Graph graph = Builder("net", {1, 4, 4}, 2).take();
  Layer& layer = graph.layers.emplace_back();
  layer.op = Op::activation;
  CHECK_THROWS_AS(infer_shapes(graph), Error);
  layer.inputs = {1};
  CHECK_THROWS_AS(infer_shapes(graph), Error);
  layer.inputs = {0};
  CHECK(infer_shapes(graph)[1] == Shape{1, 4, 4});
}

}  // namespace qtrain::model
