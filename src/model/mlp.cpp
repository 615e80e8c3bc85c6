// Multi-layer perceptron: Learning representations by back-propagating errors, Rumelhart, Hinton, Williams,
// Nature 1986; batch norm as in Batch normalization: accelerating deep network training by reducing internal
// covariate shift, Ioffe, Szegedy, ICML 2015 (arXiv:1502.03167).
//
//   flatten, [linear + bias, batch norm (if batch_norm), activation] for each width, linear to the classes
//   widths [512, 512]; [] is multinomial logistic regression
#include "model/builder.hpp"
#include "model/models.hpp"

namespace qtrain::model {

Graph read_mlp(spec::Reader& keys, const Shape& input, int classes) {
  std::vector<int> widths = {512, 512};
  bool batch_norm = true;
  bool affine = true;
  keys.field("widths", widths, spec::between(1, 65536), "features of each hidden layer");
  keys.field("batch_norm", batch_norm, "batch norm before each activation");
  keys.field("batch_norm_affine", affine, "learned scale and shift in batch norm");

  Builder net("mlp", input, classes);
  int x = net.flatten("flatten", Builder::kInput);
  int index = 1;
  for (const int width : widths) {
    const std::string n = std::to_string(index);
    x = net.linear("fc" + n, x, width);
    if (batch_norm) x = net.batch_norm("bn" + n, x, affine);
    x = net.activation("act" + n, x);
    ++index;
  }
  net.linear("fc" + std::to_string(index), x, classes);
  return net.take();
}

}  // namespace qtrain::model
