#include "model/vgg.hpp"

#include <string>

namespace qtrain::model {

int append_vgg(Builder& net, const Vgg& vgg) {
  int x = Builder::kInput;
  int norms = 0;
  int pools = 0;
  const auto normalize_and_activate = [&] {
    const std::string n = std::to_string(++norms);
    x = net.activation("act" + n, net.batch_norm("bn" + n, x, vgg.affine));
  };
  const auto pool = [&] { x = net.max_pool("pool" + std::to_string(++pools), x, 2); };

  int convolutions = 0;
  for (const std::vector<int>& stage : vgg.stages) {
    for (std::size_t i = 0; i < stage.size(); ++i) {
      const bool ends_stage = i + 1 == stage.size();
      x = net.convolution("conv" + std::to_string(++convolutions), x, {.channels = stage[i], .bias = true});
      if (ends_stage && vgg.pool_before_batch_norm) pool();
      normalize_and_activate();
      if (ends_stage && !vgg.pool_before_batch_norm) pool();
    }
  }
  x = net.flatten("flatten", x);
  int hidden = 0;
  for (const int features : vgg.features) {
    x = net.linear("fc" + std::to_string(++hidden), x, features);
    normalize_and_activate();
  }
  return x;
}

}  // namespace qtrain::model
