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

namespace qtrain::model {

Graph read_vgg11(spec::Reader& keys, const Shape& input, int classes) {
  bool affine = true;
  keys.field("batch_norm_affine", affine, "learned scale and shift in batch norm");

  const std::vector<std::vector<int>> stages = {{64}, {128}, {256, 256}, {512, 512}, {512, 512}};
  Builder net("vgg11", input, classes);
  int x = Builder::kInput;
  int index = 1;
  for (std::size_t stage = 0; stage < stages.size(); ++stage) {
    for (const int channels : stages[stage]) {
      const std::string n = std::to_string(index);
      x = net.convolution("conv" + n, x, {.channels = channels, .bias = true});
      x = net.batch_norm("bn" + n, x, affine);
      x = net.activation("act" + n, x);
      ++index;
    }
    x = net.max_pool("pool" + std::to_string(stage + 1), x, 2);
  }
  x = net.flatten("flatten", x);
  net.linear("fc", x, classes);
  return net.take();
}

}  // namespace qtrain::model
