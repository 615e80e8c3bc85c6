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

std::vector<std::string> names_of(const Graph& graph, Op op) {
  std::vector<std::string> names;
  for (const Layer& layer : graph.layers) {
    if (layer.op == op) names.push_back(layer.name);
  }
  return names;
}

const Shape kCifar = {3, 32, 32};
const Shape kMnist = {1, 28, 28};
const Shape kTinyImageNet = {3, 64, 64};

}  // namespace

TEST_CASE("every model: unique names, logits last, every layer used once or more") {
  for (const Entry& entry : registry()) {
    const bool text = entry.takes == Input::text;
    const Shape input = text ? Shape{35} : kCifar;
    for (const int classes : {2, 100}) {
      CAPTURE(entry.name);
      const Graph graph = read_model(std::string("name: ") + entry.name, input, classes);
      CHECK(graph.name == entry.name);
      CHECK(graph.input == input);
      CHECK(graph.classes == classes);
      CHECK(graph.targets == (text ? 35 : 1));
      CHECK(infer_shapes(graph).back() == (text ? Shape{classes, 35, 1} : Shape{classes}));

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

TEST_CASE(
    "every model of images but cifarnet: he_normal_fan_out for convolutions, uniform_fan_in and bias for "
    "linear "
    "layers") {
  for (const Entry& entry : registry()) {
    if (std::string(entry.name) == "cifarnet" || entry.takes == Input::text) continue;
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

TEST_CASE("vgg16: parameters and shapes") {
  // Convolutions 9 (3 64 + 64 64 + 64 128 + 128 128 + 128 256 + 2 256 256 + 256 512 + 5 512 512) =
  // 14,710,464, their biases 2 64 + 2 128 + 3 256 + 6 512 = 4,224, hidden layers 2 (512 512 + 512) = 525,312,
  // classes 5,130, batch norm 2 (4,224 + 1,024) = 10,496.
  const Graph graph = read_model("name: vgg16", kCifar);
  CHECK(parameter_count(graph) == 14710464 + 4224 + 525312 + 5130 + 10496);
  CHECK(parameter_count(graph) == 15255626);
  CHECK(parameter_count(read_model("{name: vgg16, batch_norm_affine: false}", kCifar)) == 15255626 - 10496);
  CHECK(parameter_count(read_model("name: vgg16", kTinyImageNet, 200)) ==
        15255626 + (2048 - 512) * 512 + 513 * 190);
  CHECK(count_of(graph, Op::convolution) == 13);
  CHECK(count_of(graph, Op::max_pool) == 5);
  CHECK(names_of(graph, Op::linear) == std::vector<std::string>{"fc1", "fc2", "fc3"});
  CHECK(count_of(graph, Op::batch_norm) == 15);
  CHECK(count_of(graph, Op::activation) == 15);
  CHECK(input_name(graph, "conv3", 0) == "pool1");
  CHECK(input_name(graph, "pool1", 0) == "act2");
  CHECK(input_name(graph, "conv11", 0) == "pool4");
  CHECK(input_name(graph, "fc1", 0) == "flatten");
  CHECK(input_name(graph, "fc2", 0) == "act14");
  CHECK(input_name(graph, "fc3", 0) == "act15");
  std::int64_t macs = 2 * 512 * 512 + 5120;
  for (const auto& [side, in, out, count] : {std::array{32, 3, 64, 1},
                                             {32, 64, 64, 1},
                                             {16, 64, 128, 1},
                                             {16, 128, 128, 1},
                                             {8, 128, 256, 1},
                                             {8, 256, 256, 2},
                                             {4, 256, 512, 1},
                                             {4, 512, 512, 2},
                                             {2, 512, 512, 3}}) {
    macs += std::int64_t{9} * side * side * in * out * count;
  }
  CHECK(total_macs(graph) == macs);
  CHECK(contains(mistakes_of("name: vgg16", {3, 31, 31}), "name: layer pool5 of vgg16"));
}

TEST_CASE("vgg_small: parameters and shapes") {
  // K = 128: convolutions 9 (3 128 + 128 128 + 128 256 + 256 256 + 256 512 + 512 512) = 4,574,592, biases
  // 2 (128 + 256 + 512) = 1,792; linear 8192 1024 + 1024 1024 + 1024 10 = 9,447,424, biases 2,058; batch norm
  // 2 (1,792 + 2,058) = 7,700, of which 20 on the outputs.
  const Graph graph = read_model("name: vgg_small", kCifar);
  CHECK(parameter_count(graph) == 4574592 + 1792 + 9447424 + 2058 + 7700);
  CHECK(parameter_count(graph) == 14033566);
  CHECK(parameter_count(read_model("{name: vgg_small, output_batch_norm: false}", kCifar)) == 14033546);
  CHECK(parameter_count(read_model("{name: vgg_small, batch_norm_affine: false}", kCifar)) ==
        14033566 - 7700);
  // K = 64: convolutions 1,144,512 + 896, linear 4096 1024 + 1024 1024 + 1024 10 + 2,058, batch norm 5,908.
  CHECK(parameter_count(read_model("{name: vgg_small, width: 64}", kCifar)) ==
        1144512 + 896 + 4194304 + 1048576 + 10240 + 2058 + 5908);
  CHECK(parameter_count(read_model("{name: vgg_small, width: 64}", kCifar)) == 6406494);
  const std::int64_t convolutions =
      1024 * 9 * (3 * 128 + 128 * 128) + 256 * 9 * (128 + 256) * 256 + 64 * 9 * (256 + 512) * 512;
  CHECK(total_macs(graph) == convolutions + 9447424);
  CHECK(parameters(graph)[0].shape == Shape{128, 3, 3, 3});
  CHECK(names_of(graph, Op::linear) == std::vector<std::string>{"fc1", "fc2", "fc3"});
  CHECK(infer_shapes(read_model("name: vgg_small", {3, 8, 8})).back() == Shape{10});
  CHECK(contains(mistakes_of("name: vgg_small", {3, 7, 7}), "name: layer pool3 of vgg_small"));
}

TEST_CASE(
    "vgg_small: batch norm on the outputs or none, max pool after the activation or before batch norm") {
  const Graph graph = read_model("name: vgg_small", kCifar);
  CHECK(graph.layers.back().name == "bn9");
  CHECK(graph.layers.back().op == Op::batch_norm);
  CHECK(input_name(graph, "bn9", 0) == "fc3");
  CHECK(input_name(graph, "pool1", 0) == "act2");
  CHECK(input_name(graph, "conv3", 0) == "pool1");
  CHECK(input_name(graph, "flatten", 0) == "pool3");
  const Graph plain = read_model("{name: vgg_small, output_batch_norm: false}", kCifar);
  CHECK(plain.layers.back().name == "fc3");
  const Graph early = read_model("{name: vgg_small, pool_before_batch_norm: true}", kCifar);
  CHECK(parameter_count(early) == parameter_count(graph));
  CHECK(total_macs(early) == total_macs(graph));
  CHECK(input_name(early, "bn1", 0) == "conv1");
  CHECK(input_name(early, "pool1", 0) == "conv2");
  CHECK(input_name(early, "bn2", 0) == "pool1");
  CHECK(input_name(early, "conv3", 0) == "act2");
  CHECK(input_name(early, "flatten", 0) == "act6");
}

TEST_CASE("resnet18: parameters and multiply-accumulates") {
  // Stem 9 3 64; stage 1 4 of 9 64 64; stage s of n = 128, 256, 512 channels 9 n n / 2 + 3 of 9 n n and the
  // shortcut n n / 2; batch norm 2 (64 + 4 64 + 5 (128 + 256 + 512)) = 9,600; classes 5,130.
  const std::size_t stages = 36864 * 4 + (128 * 128 + 256 * 256 + 512 * 512) * std::size_t{32};
  const Graph graph = read_model("name: resnet18", kCifar);
  CHECK(parameter_count(graph) == 1728 + stages + 9600 + 5130);
  CHECK(parameter_count(graph) == 11173962);
  CHECK(parameter_count(read_model("{name: resnet18, batch_norm_affine: false}", kCifar)) == 11164362);
  // Stages 2 to 4 have 32 n n weights on (2048 / n)^2 pixels each: 2^27.
  CHECK(total_macs(graph) == 1024 * (1728 + 36864 * 4) + 3 * 134217728 + 5120);
  const Graph thin = read_model("{name: resnet18, width: 5}", kCifar);
  CHECK(find(thin, "stem.conv").channels == 5);
  CHECK(find(thin, "stage4.block2.conv2").channels == 40);
}

TEST_CASE("resnet18: residual structure, shortcuts by name, no max pool") {
  const Graph graph = read_model("name: resnet18", kCifar);
  CHECK(count_of(graph, Op::max_pool) == 0);
  CHECK(count_of(graph, Op::shortcut_pad) == 0);
  CHECK(count_of(graph, Op::add) == 8);
  CHECK(count_of(graph, Op::convolution) == 1 + 16 + 3);
  for (const std::string stage : {"stage2", "stage3", "stage4"}) {
    CAPTURE(stage);
    CHECK(find(graph, stage + ".block1.conv1").stride == 2);
    CHECK(find(graph, stage + ".block2.conv1").stride == 1);
    CHECK(find(graph, stage + ".block1.shortcut.conv").kernel == 1);
    CHECK(find(graph, stage + ".block1.shortcut.conv").stride == 2);
    CHECK(input_name(graph, stage + ".block1.add", 1) == stage + ".block1.shortcut.bn");
    CHECK(input_name(graph, stage + ".block2.add", 1) == stage + ".block1.act2");
  }
  CHECK(input_name(graph, "stage1.block1.add", 1) == "stem.act");
  CHECK(input_name(graph, "pool", 0) == "stage4.block2.act2");
}

TEST_CASE("resnet18: the stem's stride halves every later image") {
  const auto sides = [](const Graph& graph) {
    std::vector<std::int64_t> all;
    const std::vector<Shape> shapes = infer_shapes(graph);
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      if (graph.layers[i].op == Op::add || graph.layers[i].name == "stem.act") all.push_back(shapes[i][1]);
    }
    return all;
  };
  const Graph small = read_model("name: resnet18", kCifar);
  CHECK(sides(small) == std::vector<std::int64_t>{32, 32, 32, 16, 16, 8, 8, 4, 4});
  const Graph tiny = read_model("{name: resnet18, stem: tiny_imagenet}", kTinyImageNet, 200);
  CHECK(sides(tiny) == sides(small));
  CHECK(parameter_count(tiny) == 11271432);
  CHECK(find(tiny, "stem.conv").kernel == 3);
  CHECK(sides(read_model("name: resnet18", kTinyImageNet)).back() == 8);
  CHECK(mistakes_of("name: resnet18", {3, 1, 1}) == "");
  CHECK(contains(mistakes_of("{name: resnet18, stem: imagenet}", kCifar), "tiny_imagenet"));
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

TEST_CASE("mlp: batch norm on the outputs") {
  const Graph graph = read_model("{name: mlp, widths: [2048, 2048, 2048], output_batch_norm: true}", kMnist);
  CHECK(parameter_count(graph) == 785 * 2048 + 2 * 2049 * 2048 + 20490 + 6 * 2048 + 20);
  CHECK(parameter_count(graph) == 10033182);
  CHECK(graph.layers.back().name == "bn4");
  CHECK(input_name(graph, "bn4", 0) == "fc4");
  CHECK(read_model("{name: mlp, output_batch_norm: false}", kMnist) == read_model("name: mlp", kMnist));
  const Graph alone = read_model("{name: mlp, batch_norm: false, output_batch_norm: true}", kMnist);
  CHECK(names_of(alone, Op::batch_norm) == std::vector<std::string>{"bn3"});
}

TEST_CASE("cifarnet: parameters, order of the layers, sizes") {
  const Graph graph = read_model("name: cifarnet", {3, 24, 24});
  std::vector<std::size_t> counts;
  for (const Parameter& parameter : parameters(graph)) counts.push_back(element_count(parameter.shape));
  CHECK(counts == std::vector<std::size_t>{4800, 64, 102400, 64, 884736, 384, 73728, 192, 1920, 10});
  const std::vector<std::string> names = {"input", "conv1", "act1",  "pool1", "norm1",
                                          "conv2", "act2",  "norm2", "pool2", "flatten",
                                          "fc3",   "act3",  "fc4",   "act4",  "softmax"};
  CHECK(std::ranges::equal(graph.layers, names, {}, &Layer::name));
  const std::vector<Shape> shapes = infer_shapes(graph);
  CHECK(shapes[2] == Shape{64, 24, 24});
  CHECK(shapes[4] == Shape{64, 12, 12});
  CHECK(shapes[7] == Shape{64, 12, 12});
  CHECK(shapes[8] == Shape{64, 6, 6});
  CHECK(find(graph, "norm1").response_norm == ResponseNorm{.radius = 4, .bias = 1, .alpha = 0.001 / 9});
  CHECK(parameter_count(read_model("{name: cifarnet, filters: 19}", {3, 24, 24}, 100)) ==
        75 * 19 + 19 + 475 * 19 + 19 + 36 * 19 * 384 + 384 + 385 * 192 + 193 * 100);
}

TEST_CASE("cifarnet: how weights and biases start") {
  const Graph graph = read_model("name: cifarnet", {3, 24, 24});
  const auto starts = [&](const char* name, double deviation, double bias) {
    const Layer& layer = find(graph, name);
    CHECK_MESSAGE((layer.init == Init::truncated_normal && layer.deviation == deviation &&
                   layer.initial_bias == bias && layer.bias),
                  name);
  };
  starts("conv1", 0.05, 0);
  starts("conv2", 0.05, 0.1);
  starts("fc3", 0.04, 0.1);
  starts("fc4", 0.04, 0.1);
  starts("softmax", 1.0 / 192, 0);
}

// SAME gives ceil(size / 2) pixels; of the padding that takes, the smaller half comes first.
TEST_CASE("cifarnet: pools halve every size, rounding up, and pad as little as that takes") {
  for (std::int64_t size = 1; size <= 33; ++size) {
    CAPTURE(size);
    const Graph graph = read_model("name: cifarnet", {3, size, size});
    const std::vector<Shape> shapes = infer_shapes(graph);
    CHECK(shapes[3] == Shape{64, (size + 1) / 2, (size + 1) / 2});
    CHECK(shapes[8] == Shape{64, (size + 3) / 4, (size + 3) / 4});
    const Layer& pool = find(graph, "pool1");
    const std::int64_t all = ((size + 1) / 2 - 1) * 2 + 3 - size;
    CHECK(pool.padding == all / 2);
    CHECK(pool.end_padding == all - 2 * (all / 2));
  }
  CHECK(contains(mistakes_of("name: cifarnet", {3, 24, 32}), "needs square images, not 3x24x32"));
}

}  // namespace qtrain::model
