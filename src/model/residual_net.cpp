#include "model/residual_net.hpp"

#include "model/builder.hpp"

namespace qtrain::model {
namespace {

int append_shortcut(Builder& net, const std::string& name, int src, int channels, int stride,
                    const ResidualNet& settings) {
  if (settings.shortcut == "a") return net.shortcut_pad(name, src, channels, stride);
  const int x = net.convolution(name + ".conv", src,
                                {.channels = channels, .kernel = 1, .stride = stride, .padding = 0});
  return net.batch_norm(name + ".bn", x, settings.affine);
}

/// One basic block; the shape changes where `stride` is not 1.
int append_block(Builder& net, const std::string& name, int src, int channels, int stride,
                 const ResidualNet& settings) {
  int x = net.convolution(name + ".conv1", src, {.channels = channels, .stride = stride});
  x = net.batch_norm(name + ".bn1", x, settings.affine);
  x = net.activation(name + ".act1", x);
  x = net.convolution(name + ".conv2", x, {.channels = channels});
  x = net.batch_norm(name + ".bn2", x, settings.affine);
  const int shortcut =
      stride == 1 ? src : append_shortcut(net, name + ".shortcut", src, channels, stride, settings);
  x = net.add(name + ".add", x, shortcut);
  return net.activation(name + ".act2", x);
}

}  // namespace

Graph residual_net(const std::string& name, const ResidualNet& settings, const Shape& input, int classes) {
  Builder net(name, input, classes);
  int x = net.convolution("stem.conv", Builder::kInput,
                          {.channels = settings.width, .stride = settings.stem_stride});
  x = net.batch_norm("stem.bn", x, settings.affine);
  x = net.activation("stem.act", x);
  for (int stage = 1; stage <= settings.stages; ++stage) {
    const int channels = settings.width << (stage - 1);
    for (int block = 1; block <= settings.blocks; ++block) {
      const int stride = stage > 1 && block == 1 ? 2 : 1;
      x = append_block(net, "stage" + std::to_string(stage) + ".block" + std::to_string(block), x, channels,
                       stride, settings);
    }
  }
  x = net.global_average_pool("pool", x);
  x = net.flatten("flatten", x);
  net.linear("fc", x, classes);
  return net.take();
}

}  // namespace qtrain::model
