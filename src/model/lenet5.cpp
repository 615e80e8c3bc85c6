// LeNet-5: Gradient-based learning applied to document recognition, LeCun, Bottou, Bengio, Haffner, Proc.
// IEEE 1998; with batch norm before each activation as in Understanding straight-through estimator in
// training activation quantized neural nets, Yin et al., ICLR 2019 (arXiv:1903.05662), which leaves the
// widths open.
//
//   2 x [convolution 5x5 + bias, batch norm, activation, max pool 2x2], flatten,
//   [linear, batch norm, activation] for each hidden width, linear to the classes
//   width small: 6, 16 channels, 120, 84 features     (61,706 parameters on 1x28x28, 10 classes)
//   width large: 32, 64 channels, 512 features        (876,938 parameters on 1x28x28, 10 classes)
//
// Images smaller than 32x32 are padded by 2 in the first convolution, so 28x28 and 32x32 give the same
// features.
#include <algorithm>

#include "model/builder.hpp"
#include "model/models.hpp"

namespace qtrain::model {
namespace {

struct Widths {
  std::vector<int> channels;
  std::vector<int> features;
};

Graph build(const Widths& widths, bool affine, const Shape& input, int classes) {
  Builder net("lenet5", input, classes);
  const bool pad = std::min(input[1], input[2]) < 32;
  int x = Builder::kInput;
  int norms = 0;
  const auto normalize_and_activate = [&](int src) {
    const std::string n = std::to_string(++norms);
    return net.activation("act" + n, net.batch_norm("bn" + n, src, affine));
  };
  for (std::size_t i = 0; i < widths.channels.size(); ++i) {
    const std::string n = std::to_string(i + 1);
    const int padding = i == 0 && pad ? 2 : 0;
    x = net.convolution("conv" + n, x,
                        {.channels = widths.channels[i], .kernel = 5, .padding = padding, .bias = true});
    x = net.max_pool("pool" + n, normalize_and_activate(x), 2);
  }
  x = net.flatten("flatten", x);
  for (std::size_t i = 0; i < widths.features.size(); ++i) {
    x = normalize_and_activate(net.linear("fc" + std::to_string(i + 1), x, widths.features[i]));
  }
  net.linear("fc" + std::to_string(widths.features.size() + 1), x, classes);
  return net.take();
}

}  // namespace

Graph read_lenet5(spec::Reader& keys, const Shape& input, int classes) {
  std::string width = "small";
  bool affine = false;
  keys.choice("width", width, {"small", "large"}, "6-16-120-84 or 32-64-512 channels and features");
  keys.field("batch_norm_affine", affine, "learned scale and shift in batch norm");
  const Widths small = {{6, 16}, {120, 84}};
  const Widths large = {{32, 64}, {512}};
  return build(width == "small" ? small : large, affine, input, classes);
}

}  // namespace qtrain::model
