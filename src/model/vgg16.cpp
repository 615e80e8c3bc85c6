// VGG-16: Very deep convolutional networks for large-scale image recognition, Simonyan, Zisserman, ICLR 2015
// (arXiv:1409.1556), configuration D, in the form used for CIFAR by Proximal mean-field for neural network
// quantization, Ajanthan, Dokania, Hartley, Torr, ICCV 2019 (arXiv:1812.04353), and Mirror descent view for
// neural network quantization, Ajanthan, Gupta, Torr, Hartley, Dokania, AISTATS 2021 (arXiv:1910.08237).
//
//   64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M, flatten, F512, F512, linear to the classes
//   each number: convolution 3x3 + bias, batch norm, activation; M: max pool 2x2
//   F512: linear + bias to 512 features, batch norm, activation
//
// So the 512 features that flatten gives on 3x32x32 pass two hidden layers of 512 before the classes: 16
// layers with weights. 15,255,626 parameters for 10 classes; without batch_norm_affine, as in the authors'
// code, 10,496 fewer. Images need 32x32 pixels or more; larger ones only widen the input of the first F512.
#include "model/models.hpp"
#include "model/vgg.hpp"

namespace qtrain::model {

Graph read_vgg16(spec::Reader& keys, const Shape& input, int classes) {
  bool affine = true;
  keys.field("batch_norm_affine", affine, "learned scale and shift in batch norm");

  Builder net("vgg16", input, classes);
  const int x =
      append_vgg(net, {.stages = {{64, 64}, {128, 128}, {256, 256, 256}, {512, 512, 512}, {512, 512, 512}},
                       .features = {512, 512},
                       .affine = affine});
  net.linear("fc3", x, classes);
  return net.take();
}

}  // namespace qtrain::model
