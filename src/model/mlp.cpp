// Multi-layer perceptron: Learning representations by back-propagating errors, Rumelhart, Hinton, Williams,
// Nature 1986; batch norm as in Batch normalization: accelerating deep network training by reducing internal
// covariate shift, Ioffe, Szegedy, ICML 2015 (arXiv:1502.03167).
//
//   flatten, [linear + bias, batch norm (if batch_norm), activation] for each width, linear to the classes,
//   batch norm (if output_batch_norm)
//   widths [512, 512]; [] is multinomial logistic regression
//
// widths [2048, 2048, 2048] with output_batch_norm is the MNIST network of Loss-aware binarization of deep
// networks, Hou, Yao, Kwok, ICLR 2017 (arXiv:1611.01600), trained with the squared hinge loss: 10,033,182
// parameters on 1x28x28, 10 classes.
#include "model/builder.hpp"
#include "model/models.hpp"

namespace qtrain::model {

Graph read_mlp(spec::Reader& keys, const Shape& input, int classes) {
  std::vector<int> widths = {512, 512};
  bool batch_norm = true;
  bool output_batch_norm = false;
  bool affine = true;
  keys.field("widths", widths, spec::between(1, 65536), "features of each hidden layer");
  keys.field("batch_norm", batch_norm, "batch norm before each activation");
  keys.field("output_batch_norm", output_batch_norm, "batch norm after the last linear layer");
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
  const std::string n = std::to_string(index);
  x = net.linear("fc" + n, x, classes);
  if (output_batch_norm) net.batch_norm("bn" + n, x, affine);
  return net.take();
}

}  // namespace qtrain::model
