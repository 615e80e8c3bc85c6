// VGG-11: Very deep convolutional networks for large-scale image recognition, Simonyan, Zisserman, ICLR 2015
// (arXiv:1409.1556), configuration A, in the form used for CIFAR-10 by Blended coarse gradient descent for
// full quantization of deep neural networks, Yin et al., 2018 (arXiv:1808.05240).
//
//   64 M 128 M 256 256 M 512 512 M 512 512 M, flatten, linear to the classes
//   each number: convolution 3x3 + bias, batch norm, activation; M: max pool 2x2
//
// On 3x32x32 flatten gives 512 features; 9,231,114 parameters for 10 classes. Images need 32x32 pixels or
// more.
#include "model/builder.hpp"
#include "model/models.hpp"
#include "model/vgg.hpp"

namespace qtrain::model {

Graph read_vgg11(spec::Reader& keys, const Shape& input, int classes) {
  bool affine = true;
  keys.field("batch_norm_affine", affine, "learned scale and shift in batch norm");

  Builder net("vgg11", input, classes);
  const int x = append_vgg(
      net, {.stages = {{64}, {128}, {256, 256}, {512, 512}, {512, 512}}, .features = {}, .affine = affine});
  net.linear("fc", x, classes);
  return net.take();
}

}  // namespace qtrain::model
