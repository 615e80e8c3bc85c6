// CifarNet: TernGrad: ternary gradients to reduce communication in distributed deep learning, Wen, Xu, Yan,
// Wu, Wang, Chen, Li, NIPS 2017 (arXiv:1705.07878), as in the authors' code; Analysis of quantized models,
// Hou, Zhang, Kwok, ICLR 2019, which varies the filters. It is the network of TensorFlow's CIFAR-10 tutorial.
//
//   conv1  5x5, d filters, bias from 0, activation, max pool 3x3 stride 2, LRN
//   conv2  5x5, d filters, bias from 0.1, activation, LRN, max pool 3x3 stride 2
//   flatten, fc3 384, activation, fc4 192, activation, softmax: linear to the classes
//
//   All convolutions and pools are TensorFlow's SAME: a convolution keeps the size of its input, a pool
//   halves it, rounding up; on an even size it pads nothing before and one row and column after. LRN: y_c =
//   x_c / (1 + 0.001/9 sum of x_j^2 over |j - c| <= 4)^(3/4) Initial weights: normal, cut at two deviations:
//   0.05 in conv1 and conv2, 0.04 in fc3 and fc4 (biases 0.1), 1/192 in softmax (biases 0)
//
// On 3x24x24 (dataset.augment.crop 24), 10 classes and d = 64 there are 1,068,298 parameters: conv1 4800 +
// 64, conv2 102400 + 64, fc3 884736 + 384, fc4 73728 + 192, softmax 1920 + 10. The L2 term that both papers
// have on fc3 and fc4 is train.optimizer's: weight_decay 0.004, decay_only [fc3.weight, fc4.weight]. Images
// must be square.
#include "model/builder.hpp"
#include "model/models.hpp"

namespace qtrain::model {
namespace {

constexpr ResponseNorm kNorm = {.radius = 4, .bias = 1, .alpha = 0.001 / 9};

/// SAME, for images of `size` x `size`, which becomes that of the result.
Pool halving(std::int64_t& size) {
  const int odd = static_cast<int>(size % 2);
  size = (size + 1) / 2;
  return {.size = 3, .stride = 2, .padding = odd, .end_padding = 1 - odd};
}

}  // namespace

Graph read_cifarnet(spec::Reader& keys, const Shape& input, int classes) {
  int filters = 64;
  keys.field("filters", filters, spec::between(1, 4096), "filters of each convolution");
  if (input[1] != input[2])
    keys.mistake("name", "is cifarnet, which needs square images, not " + to_string(input));

  Builder net("cifarnet", input, classes);
  const Convolution convolution = {.channels = filters, .kernel = 5, .padding = 2, .bias = true};
  std::int64_t size = input[1];
  int x = net.start(net.convolution("conv1", Builder::kInput, convolution), 0.05, 0);
  x = net.max_pool("pool1", net.activation("act1", x), halving(size));
  x = net.local_response_norm("norm1", x, kNorm);
  x = net.start(net.convolution("conv2", x, convolution), 0.05, 0.1);
  x = net.local_response_norm("norm2", net.activation("act2", x), kNorm);
  x = net.flatten("flatten", net.max_pool("pool2", x, halving(size)));
  x = net.activation("act3", net.start(net.linear("fc3", x, 384), 0.04, 0.1));
  x = net.activation("act4", net.start(net.linear("fc4", x, 192), 0.04, 0.1));
  net.start(net.linear("softmax", x, classes), 1.0 / 192, 0);
  return net.take();
}

}  // namespace qtrain::model
