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
#include "model/models.hpp"
#include "model/residual_net.hpp"

namespace qtrain::model {
namespace {

Graph read(int depth, spec::Reader& keys, const Shape& input, int classes) {
  ResidualNet settings;
  settings.blocks = (depth - 2) / (2 * settings.stages);
  keys.choice(
      "shortcut", settings.shortcut, {"a", "conv"},
      "where the shape changes: subsample and append zero channels, or a 1x1 convolution with batch norm");
  keys.field("batch_norm_affine", settings.affine, "learned scale and shift in batch norm");
  keys.field("width", settings.width, spec::between(1, 4096),
             "channels of the first stage; doubled in each next one");
  return residual_net("resnet" + std::to_string(depth), settings, input, classes);
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
