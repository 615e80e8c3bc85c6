// ResNet-20, 32, 44, 56 for small images: Deep residual learning for image recognition, He, Zhang, Ren, Sun,
// CVPR 2016 (arXiv:1512.03385), section 4.2. Depth 6 n + 2 with n = 3, 5, 7, 9 blocks a stage:
//
//   stem    convolution 3x3, batch norm, activation
//   stage s = 1, 2, 3: n blocks of 2^(s-1) width channels; the first block of stages 2 and 3 has stride 2
//   block   y = activation(bn2(conv2(activation(bn1(conv1(x))))) + shortcut(x)), both convolutions 3x3
//   head    global average pool, flatten, linear to the classes
//   shortcut(x) = x where the shape stays; where it changes
//     a:     every second pixel, missing channels appended as zeros (option A; no parameters)
//     conv:  convolution 1x1 with stride 2, batch norm (option B)
//
// Convolutions have no bias. ResNet-20 of width 16 with option A on 3x32x32, 10 classes: 269,722 parameters.
#include "model/builder.hpp"
#include "model/models.hpp"

namespace qtrain::model {
namespace {

struct Settings {
  std::string shortcut = "a";
  bool affine = true;
  int width = 16;
};

int append_shortcut(Builder& net, const std::string& name, int src, int channels, int stride,
                    const Settings& settings) {
  if (settings.shortcut == "a") return net.shortcut_pad(name, src, channels, stride);
  const int x = net.convolution(name + ".conv", src,
                                {.channels = channels, .kernel = 1, .stride = stride, .padding = 0});
  return net.batch_norm(name + ".bn", x, settings.affine);
}

int append_block(Builder& net, const std::string& name, int src, int channels, bool first,
                 const Settings& settings) {
  const bool widens = first && channels != settings.width;
  const int stride = widens ? 2 : 1;
  int x = net.convolution(name + ".conv1", src, {.channels = channels, .stride = stride});
  x = net.batch_norm(name + ".bn1", x, settings.affine);
  x = net.activation(name + ".act1", x);
  x = net.convolution(name + ".conv2", x, {.channels = channels});
  x = net.batch_norm(name + ".bn2", x, settings.affine);
  const int shortcut =
      widens ? append_shortcut(net, name + ".shortcut", src, channels, stride, settings) : src;
  x = net.add(name + ".add", x, shortcut);
  return net.activation(name + ".act2", x);
}

Graph build(int depth, const Settings& settings, const Shape& input, int classes) {
  constexpr int kStages = 3;
  const int blocks = (depth - 2) / (2 * kStages);
  Builder net("resnet" + std::to_string(depth), input, classes);
  int x = net.convolution("stem.conv", Builder::kInput, {.channels = settings.width});
  x = net.batch_norm("stem.bn", x, settings.affine);
  x = net.activation("stem.act", x);
  for (int stage = 1; stage <= kStages; ++stage) {
    const int channels = settings.width << (stage - 1);
    for (int block = 1; block <= blocks; ++block) {
      const std::string name = "stage" + std::to_string(stage) + ".block" + std::to_string(block);
      x = append_block(net, name, x, channels, block == 1, settings);
    }
  }
  x = net.global_average_pool("pool", x);
  x = net.flatten("flatten", x);
  net.linear("fc", x, classes);
  return net.take();
}

Graph read(int depth, spec::Reader& keys, const Shape& input, int classes) {
  Settings settings;
  keys.choice(
      "shortcut", settings.shortcut, {"a", "conv"},
      "where the shape changes: subsample and append zero channels, or a 1x1 convolution with batch norm");
  keys.field("batch_norm_affine", settings.affine, "learned scale and shift in batch norm");
  keys.field("width", settings.width, spec::between(1, 4096),
             "channels of the first stage; doubled in each next one");
  return build(depth, settings, input, classes);
}

}  // namespace

Graph read_resnet20(spec::Reader& keys, const Shape& input, int classes) {
  return read(20, keys, input, classes);
}
Graph read_resnet32(spec::Reader& keys, const Shape& input, int classes) {
  return read(32, keys, input, classes);
}
Graph read_resnet44(spec::Reader& keys, const Shape& input, int classes) {
  return read(44, keys, input, classes);
}
Graph read_resnet56(spec::Reader& keys, const Shape& input, int classes) {
  return read(56, keys, input, classes);
}

}  // namespace qtrain::model
