// VGG-like network for CIFAR-10 and SVHN: BinaryConnect: training deep neural networks with binary weights
// during propagations, Courbariaux, Bengio, David, NIPS 2015 (arXiv:1511.00363); Loss-aware binarization of
// deep networks, Hou, Yao, Kwok, ICLR 2017 (arXiv:1611.01600).
//
//   2 x (K C3) - MP2 - 2 x (2K C3) - MP2 - 2 x (4K C3) - MP2 - 2 x (1024 FC) - classes
//   n C3: convolution 3x3 + bias, batch norm, activation; MP2: max pool 2x2
//   1024 FC: linear + bias to 1024 features, batch norm, activation
//   classes: linear + bias, batch norm (if output_batch_norm)
//
// width is K: 128 on CIFAR-10, 64 on SVHN. The papers minimise the squared hinge loss of the normalized
// outputs. In the authors' code MP2 stands between a convolution and its batch norm: pool_before_batch_norm,
// which matters for binary activations, as the maximum of four signs is +1 unless all are -1. How weights are
// drawn (but see model.glorot_gain and uniform_bound) and the epsilon of batch norm are those of the other
// models, not of the authors' code.
//
// On 3x32x32 and 10 classes 14,033,566 parameters with K = 128, 6,406,494 with K = 64. Images need 8x8 pixels
// or more.
#include "model/models.hpp"
#include "model/vgg.hpp"

namespace qtrain::model {

Graph read_vgg_small(spec::Reader& keys, const Shape& input, int classes) {
  int width = 128;
  bool affine = true;
  bool output_batch_norm = true;
  bool pool_before_batch_norm = false;
  keys.field("width", width, spec::between(1, 4096),
             "channels of the first two convolutions; doubled in each next stage");
  keys.field("batch_norm_affine", affine, "learned scale and shift in batch norm");
  keys.field("output_batch_norm", output_batch_norm, "batch norm after the last linear layer");
  keys.field("pool_before_batch_norm", pool_before_batch_norm,
             "max pool between convolution and batch norm, not after the activation");

  Builder net("vgg_small", input, classes);
  int x = append_vgg(net, {.stages = {{width, width}, {2 * width, 2 * width}, {4 * width, 4 * width}},
                           .features = {1024, 1024},
                           .affine = affine,
                           .pool_before_batch_norm = pool_before_batch_norm});
  x = net.linear("fc3", x, classes);
  if (output_batch_norm) net.batch_norm("bn9", x, affine);
  return net.take();
}

}  // namespace qtrain::model
