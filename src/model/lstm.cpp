// Language model of long short-term memories: Long short-term memory, Hochreiter, Schmidhuber, Neural
// Computation 1997, with the forget gates of Gers, Schmidhuber, Cummins, Neural Computation 2000.
//
//   x_t: the embedding of token t; without one (embedding 0) the token itself, W x_t being a column of W
//   (i, f, g, o)_t = W x_t + U h_(t-1) + b
//   c_t = sigmoid(f_t) c_(t-1) + sigmoid(i_t) tanh(g_t)     h_t = sigmoid(o_t) tanh(c_t)
//   logits of token t + 1 = D h_t + b_D, h of the last of `layers` layers
//   dropout before the first layer (with an embedding), between layers and after the last
//   h and c go on from one piece of the text to the next, without gradients
//
// W is lstm1.input, U and b are lstm1.recurrent, D is decoder; weights start from U(+-init_range), b at 0, of
// the forget gates at forget_bias. hidden 300, embedding 300, dropout 0.5 is the net of Bai, Wang, Liberty,
// ICLR 2019 (arXiv:1810.00861) on Penn Treebank; hidden 512 without embedding that of Hou, Yao, Kwok, ICLR
// 2017 (arXiv:1611.01600) on War and Peace. Where these papers are silent (init_range, where dropout acts) it
// is as in PyTorch's language model.
#include <cmath>

#include "model/builder.hpp"
#include "model/models.hpp"

namespace qtrain::model {

Graph read_lstm(spec::Reader& keys, const Shape& input, int classes) {
  int hidden = 512, layers = 1, embedding = 0;
  double dropout = 0, forget_bias = 1, init_range = 0;
  keys.field("hidden", hidden, spec::between(1, 65536), "features of each layer");
  keys.field("layers", layers, spec::between(1, 16), "layers");
  keys.field("embedding", embedding, spec::between(0, 65536),
             "features of a token; 0: none, the first layer reads the token itself");
  keys.field("dropout", dropout, {.low = 0, .high = 1, .high_open = true},
             "share of values dropped before, between and after the layers");
  keys.field("forget_bias", forget_bias, spec::between(-100, 100), "bias that forget gates start from");
  keys.field("init_range", init_range, spec::non_negative,
             "weights start from U(-this, this); 0: 1 / sqrt(hidden)");
  const double range = init_range > 0 ? init_range : 1 / std::sqrt(hidden);

  Builder net("lstm", input, classes);
  const auto drop = [&](const std::string& name, int src) {
    return dropout > 0 ? net.dropout(name, src, dropout) : src;
  };
  int x = Builder::kInput;
  if (embedding > 0) x = drop("drop0", net.start_uniform(net.embedding("embedding", x, embedding), range));
  for (int index = 1; index <= layers; ++index) {
    const std::string n = std::to_string(index), gates = "lstm" + n + ".input";
    const bool tokens = x == Builder::kInput;
    x = tokens ? net.embedding(gates, x, 4 * hidden)
               : net.convolution(gates, x, {.channels = 4 * hidden, .kernel = 1, .padding = 0});
    x = net.lstm("lstm" + n + ".recurrent", net.start_uniform(x, range), hidden, forget_bias);
    x = drop("drop" + n, net.start_uniform(x, range));
  }
  net.start_uniform(
      net.convolution("decoder", x, {.channels = classes, .kernel = 1, .padding = 0, .bias = true}), range);
  return net.take();
}

}  // namespace qtrain::model
