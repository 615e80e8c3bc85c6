// ResNet-18 for small images: Deep residual learning for image recognition, He, Zhang, Ren, Sun, CVPR 2016
// (arXiv:1512.03385), table 1, with a 3x3 stem and no max pool in place of its 7x7 stem and max pool, as in
// Proximal mean-field for neural network quantization, Ajanthan, Dokania, Hartley, Torr, ICCV 2019
// (arXiv:1812.04353), and Mirror descent view for neural network quantization, Ajanthan, Gupta, Torr,
// Hartley, Dokania, AISTATS 2021 (arXiv:1910.08237).
//
//   stem    convolution 3x3, batch norm, activation
//     small:          stride 1
//     tiny_imagenet:  stride 2, as the authors' code for 64x64 images
//   stage s = 1, 2, 3, 4: 2 blocks of 2^(s-1) width channels; the first block of stages 2, 3, 4 has stride 2
//   block   y = activation(bn2(conv2(activation(bn1(conv1(x))))) + shortcut(x)), both convolutions 3x3
//   shortcut(x) = x where the shape stays; else convolution 1x1 with stride 2, batch norm
//   head    global average pool, flatten, linear to the classes
//
// Convolutions have no bias. Width 64 has 11,173,962 parameters for 10 classes, 11,271,432 for 200; without
// batch_norm_affine, as in the authors' code, 9,600 fewer.
#include "model/models.hpp"
#include "model/residual_net.hpp"

namespace qtrain::model {

Graph read_resnet18(spec::Reader& keys, const Shape& input, int classes) {
  std::string stem = "small";
  ResidualNet settings = {.stages = 4, .blocks = 2, .width = 64, .shortcut = "conv"};
  keys.choice("stem", stem, {"small", "tiny_imagenet"}, "stride 1, or stride 2 for images of 64x64");
  keys.field("batch_norm_affine", settings.affine, "learned scale and shift in batch norm");
  keys.field("width", settings.width, spec::between(1, 4096),
             "channels of the first stage; doubled in each next one");
  settings.stem_stride = stem == "small" ? 1 : 2;
  return residual_net("resnet18", settings, input, classes);
}

}  // namespace qtrain::model
