// Laws over the registry, and each architecture against the numbers published for it.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <string>

#include "model/graph.hpp"
#include "model/read_model.hpp"

namespace qtrain::model {
namespace {

std::size_t parameter_count(const Graph& graph) {
  std::size_t count = 0;
  for (const Parameter& parameter : parameters(graph)) count += element_count(parameter.shape);
  return count;
}

std::int64_t total_macs(const Graph& graph) {
  const std::vector<std::int64_t> counts = multiply_accumulates(graph);
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

const Layer& find(const Graph& graph, const std::string& name) {
  const auto layer = std::ranges::find(graph.layers, name, &Layer::name);
  REQUIRE_MESSAGE(layer != graph.layers.end(), name);
  return *layer;
}

const std::string& input_name(const Graph& graph, const std::string& name, std::size_t index) {
  return graph.layers[static_cast<std::size_t>(find(graph, name).inputs[index])].name;
}

long count_of(const Graph& graph, Op op) { return std::ranges::count(graph.layers, op, &Layer::op); }

const Shape kCifar = {3, 32, 32};
const Shape kMnist = {1, 28, 28};

}  // namespace

TEST_CASE("every model: unique names, logits last, every layer used once or more") {
  for (const Entry& entry : registry()) {
    for (const int classes : {2, 100}) {
      CAPTURE(entry.name);
      const Graph graph = read_model(std::string("name: ") + entry.name, kCifar, classes);
      CHECK(graph.name == entry.name);
      CHECK(graph.input == kCifar);
      CHECK(graph.classes == classes);
      CHECK(infer_shapes(graph).back() == Shape{classes});

      std::set<std::string> names;
      std::set<int> used;
      for (const Layer& layer : graph.layers) {
        CHECK_MESSAGE(names.insert(layer.name).second, layer.name);
        used.insert(layer.inputs.begin(), layer.inputs.end());
      }
      CHECK(used.size() == graph.layers.size() - 1);
      CHECK(used.count(static_cast<int>(graph.layers.size()) - 1) == 0);
      CHECK(graph.layers.front().op == Op::input);
      CHECK(count_of(graph, Op::input) == 1);
    }
  }
}

TEST_CASE("every model: he_normal_fan_out for convolutions, uniform_fan_in and bias for linear layers") {
  for (const Entry& entry : registry()) {
    for (const Layer& layer : read_model(std::string("name: ") + entry.name, kCifar).layers) {
      CAPTURE(entry.name);
      CAPTURE(layer.name);
      if (layer.op == Op::convolution) CHECK(layer.init == Init::he_normal_fan_out);
      if (layer.op == Op::linear) CHECK((layer.init == Init::uniform_fan_in && layer.bias));
    }
  }
}

TEST_CASE("registry names are distinct and the default is among them") {
  std::set<std::string> names;
  for (const Entry& entry : registry()) CHECK(names.insert(entry.name).second);
  CHECK(names.count(ModelSpec().name) == 1);
  CHECK(read_model("{}", kCifar).name == "resnet20");
}

TEST_CASE("lenet5: parameters, and layers in the order convolution, batch norm, activation, max pool") {
  const Graph graph = read_model("name: lenet5", kMnist);
  CHECK(parameter_count(graph) == 61706);
  CHECK(parameter_count(read_model("{name: lenet5, width: large}", kMnist)) == 876938);
  CHECK(parameter_count(read_model("{name: lenet5, batch_norm_affine: true}", kMnist)) ==
        61706 + 2 * (6 + 16 + 120 + 84));
  CHECK(total_macs(graph) == 784 * 150 + 100 * 2400 + 400 * 120 + 120 * 84 + 840);
  const std::vector<Op> order = {
      Op::input,      Op::convolution, Op::batch_norm, Op::activation, Op::max_pool, Op::convolution,
      Op::batch_norm, Op::activation,  Op::max_pool,   Op::flatten,    Op::linear,   Op::batch_norm,
      Op::activation, Op::linear,      Op::batch_norm, Op::activation, Op::linear};
  CHECK(std::ranges::equal(graph.layers, order, {}, &Layer::op));
  for (const Layer& layer : graph.layers) {
    if (layer.op == Op::batch_norm) CHECK_FALSE(layer.affine);
  }
}

TEST_CASE("lenet5: 28x28 and 32x32 images give the same features") {
  const Graph small = read_model("name: lenet5", {1, 28, 28});
  const Graph padded = read_model("name: lenet5", {1, 32, 32});
  CHECK(parameter_count(small) == parameter_count(padded));
  CHECK(infer_shapes(small)[1] == Shape{6, 28, 28});
  CHECK(infer_shapes(padded)[1] == Shape{6, 28, 28});
  CHECK(infer_shapes(padded)[9] == Shape{400});
}

TEST_CASE("vgg11: parameters and shapes") {
  const Graph graph = read_model("name: vgg11", kCifar);
  CHECK(parameter_count(graph) == 9231114);
  CHECK(parameter_count(read_model("{name: vgg11, batch_norm_affine: false}", kCifar)) == 9225610);
  CHECK(count_of(graph, Op::convolution) == 8);
  CHECK(count_of(graph, Op::max_pool) == 5);
  CHECK(input_name(graph, "conv3", 0) == "pool2");
  CHECK(input_name(graph, "conv4", 0) == "act3");
  CHECK(parameters(graph).end()[-2].shape == Shape{10, 512});
  std::int64_t macs = 0;
  for (const auto& [side, in, out] : {std::array{32, 3, 64},
                                      {16, 64, 128},
                                      {8, 128, 256},
                                      {8, 256, 256},
                                      {4, 256, 512},
                                      {4, 512, 512},
                                      {2, 512, 512},
                                      {2, 512, 512}}) {
    macs += std::int64_t{9} * side * side * in * out;
  }
  CHECK(total_macs(graph) == macs + 5120);
}

TEST_CASE("resnets: parameters and multiply-accumulates of He et al.") {
  const Graph graph = read_model("name: resnet20", kCifar);
  CHECK(parameter_count(graph) == 269722);
  CHECK(total_macs(graph) == 40550400 + 640);
  CHECK(parameter_count(read_model("name: resnet32", kCifar)) == 464154);
  CHECK(parameter_count(read_model("name: resnet44", kCifar)) == 658586);
  CHECK(parameter_count(read_model("name: resnet56", kCifar)) == 853018);
  CHECK(parameter_count(read_model("{name: resnet20, shortcut: conv}", kCifar)) ==
        269722 + 16 * 32 + 32 * 64 + 2 * (32 + 64));
  CHECK(parameter_count(read_model("{name: resnet20, batch_norm_affine: false}", kCifar)) == 269722 - 1376);
}

TEST_CASE("resnet20: residual structure with option A") {
  const Graph graph = read_model("name: resnet20", kCifar);
  CHECK(count_of(graph, Op::convolution) == 19);
  CHECK(count_of(graph, Op::add) == 9);
  CHECK(count_of(graph, Op::shortcut_pad) == 2);
  CHECK(input_name(graph, "stage1.block1.add", 0) == "stage1.block1.bn2");
  CHECK(input_name(graph, "stage1.block1.add", 1) == "stem.act");
  CHECK(input_name(graph, "stage1.block2.add", 1) == "stage1.block1.act2");
  CHECK(input_name(graph, "stage2.block1.add", 1) == "stage2.block1.shortcut");
  CHECK(input_name(graph, "stage2.block1.shortcut", 0) == "stage1.block3.act2");
  CHECK(input_name(graph, "stage2.block1.conv1", 0) == "stage1.block3.act2");
  CHECK(find(graph, "stage2.block1.conv1").stride == 2);
  CHECK(find(graph, "stage2.block1.conv2").stride == 1);
  CHECK(find(graph, "stage3.block1.shortcut").channels == 64);
  CHECK(input_name(graph, "stage3.block3.act2", 0) == "stage3.block3.add");
  CHECK(input_name(graph, "pool", 0) == "stage3.block3.act2");
}

TEST_CASE("resnet20: 1x1 convolution shortcuts and an odd width") {
  const Graph graph = read_model("{name: resnet20, shortcut: conv, width: 19}", {3, 15, 15});
  CHECK(count_of(graph, Op::shortcut_pad) == 0);
  CHECK(count_of(graph, Op::convolution) == 21);
  CHECK(input_name(graph, "stage2.block1.add", 1) == "stage2.block1.shortcut.bn");
  CHECK(find(graph, "stage2.block1.shortcut.conv").kernel == 1);
  CHECK(find(graph, "stage2.block1.shortcut.conv").stride == 2);
  CHECK(find(graph, "stage1.block1.conv1").channels == 19);
  const std::vector<Shape> shapes = infer_shapes(graph);
  CHECK(shapes[graph.layers.size() - 4] == Shape{76, 4, 4});
}

TEST_CASE("mlp: widths, batch norm and none") {
  CHECK(parameter_count(read_model("name: mlp", kMnist)) ==
        784 * 512 + 512 + 512 * 512 + 512 + 5120 + 10 + 4 * 512);
  const Graph plain = read_model("{name: mlp, widths: [7], batch_norm: false}", kMnist);
  CHECK(count_of(plain, Op::batch_norm) == 0);
  CHECK(parameter_count(plain) == 785 * 7 + 80);
  CHECK(input_name(plain, "act1", 0) == "fc1");
  const Graph regression = read_model("{name: mlp, widths: []}", kMnist);
  CHECK(parameter_count(regression) == 7850);
}

}  // namespace qtrain::model
