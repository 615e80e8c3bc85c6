#include <doctest/doctest.h>

#include <cmath>

#include "engine/finite_differences.hpp"
#include "engine/net.hpp"

using namespace qtrain;
using namespace qtrain::engine;
using engine::test::check_finite_differences;
using engine::test::Data;
using engine::test::Net;
using model::Op;

namespace {

void check_gradients(const Net& net, const Loss& loss = {}, int count = 11) {
  Engine engine(net.graph, {}, loss, {.threads = 2, .shard = 4, .batch = count, .seed = 3, .poison = true});
  const Data data(net.graph, count);
  const quant::WeightContext context;
  const auto loss_now = [&] {
    engine.use_weights(context);
    const double sum = engine.train(data.images, data.labels).loss;
    engine.pull_gradients();
    return sum / count;
  };
  // A small step: a ReLU that flips within it is an error of its own.
  check_finite_differences(engine, loss_now, {.step = 5e-4, .absolute = 2e-3, .relative = 0.02});
}

Net plain_net(int channels) {
  Net net({3, 9, 9}, 4);
  net.conv(channels, 3, 2, 1, true);
  net.conv(7, 3, 1, 0, true);
  net.flatten();
  net.linear(4);
  return net;
}

}  // namespace

TEST_CASE("finite differences: convolutions with stride, padding and bias, linear") {
  for (const int channels : {5, 16, 19, 32}) {
    CAPTURE(channels);
    check_gradients(plain_net(channels));
  }
}

TEST_CASE("finite differences: every loss") {
  check_gradients(plain_net(8), {LossKind::cross_entropy, 0.1});
  check_gradients(plain_net(8), {LossKind::squared_error, 0});
  check_gradients(plain_net(8), {LossKind::multiclass_hinge, 0});
  check_gradients(plain_net(8), {LossKind::squared_hinge, 0});
}

TEST_CASE("finite differences: batch norm with and without affine, activation") {
  for (const int channels : {16, 19})
    for (const bool affine : {true, false}) {
      CAPTURE(channels);
      Net net({2, 8, 8}, 4);
      net.conv(channels, 3, 1, 1, true);
      net.norm(affine);
      net.act();
      net.conv(channels, 3, 1, 1);
      net.norm(affine);
      net.flatten();
      net.linear(4);
      check_gradients(net);
    }
}

TEST_CASE("finite differences: pooling") {
  for (const int channels : {16, 19})
    for (const Op op : {Op::max_pool, Op::average_pool, Op::global_average_pool}) {
      CAPTURE(channels);
      Net net({2, 9, 9}, 4);
      net.conv(channels, 3, 1, 1, true);
      if (op == Op::global_average_pool)
        net.pool(op);
      else
        net.pool(op, 3, 2, 1);
      net.flatten();
      net.linear(4);
      check_gradients(net);
    }
}

TEST_CASE("finite differences: local response norm, after a convolution and after an activation") {
  for (const int channels : {3, 16, 19, 70})
    for (const int radius : {1, 4}) {
      CAPTURE(channels);
      CAPTURE(radius);
      Net net({2, 6, 6}, 4);
      net.conv(channels, 3, 1, 1, true);
      net.response_norm({.radius = radius, .bias = 1, .alpha = 0.3});
      net.conv(channels, 3, 2, 1, true);
      net.act();
      net.response_norm({.radius = radius, .bias = 2, .alpha = 0.5});
      net.flatten();
      net.linear(4);
      check_gradients(net);
    }
}

// The order of cifarnet's two blocks; few windows, so that none changes its largest pixel within the step.
TEST_CASE("finite differences: pools padded at the end alone, before and after a local response norm") {
  for (const int channels : {3, 16, 19}) {
    CAPTURE(channels);
    Net net({2, 8, 8}, 4);
    net.conv(channels, 5, 1, 2, true);
    net.pool(Op::max_pool, 3, 2, 0, 1);
    net.response_norm({.alpha = 0.3});
    net.conv(channels, 5, 1, 2, true);
    net.response_norm({.alpha = 0.3});
    net.pool(Op::max_pool, 3, 2, 0, 1);
    net.flatten();
    net.linear(4);
    check_gradients(net);
  }
}

TEST_CASE("finite differences: residual blocks, both shortcuts") {
  for (const int width : {16, 19})
    for (const bool option_a : {true, false}) {
      CAPTURE(width);
      CAPTURE(option_a);
      check_gradients(engine::test::residual_net(width, option_a));
    }
}

TEST_CASE("finite differences: a sum of sums, a batch norm on a pooled tensor, a layer read twice") {
  Net net({3, 8, 8}, 4);
  const int x = net.conv(6, 3, 1, 1, true);
  const int y = net.conv(6, 1, 1, 0, true, {x});
  const int z = net.conv(6, 3, 1, 1, true, {x});
  const int s = net.sum(y, z);
  net.sum(s, x);
  net.pool(Op::average_pool, 2, 2);
  net.norm(true);
  net.flatten();
  net.linear(4);
  check_gradients(net);
}

TEST_CASE("finite differences: multilayer perceptron with batch norm") {
  Net net({1, 4, 5}, 3);
  net.flatten();
  net.linear(19);
  net.norm(true);
  net.act();
  net.linear(33, false);
  net.norm(false);
  net.act();
  net.linear(3);
  check_gradients(net);
}

TEST_CASE("finite differences: logits out of a batch norm") {
  for (const LossKind loss : {LossKind::cross_entropy, LossKind::squared_hinge})
    for (const bool affine : {true, false}) {
      CAPTURE(affine);
      Net net({2, 8, 8}, 4);
      net.conv(19, 3, 1, 1, true);
      net.norm(affine);
      net.act();
      net.flatten();
      net.linear(4);
      net.norm(affine);
      check_gradients(net, {loss, 0});
    }
}

// Few windows, so that none changes its largest pixel within the step.
TEST_CASE("finite differences: a max pool between a convolution and its batch norm") {
  for (const int channels : {3, 16}) {
    CAPTURE(channels);
    Net net({2, 4, 4}, 4);
    net.conv(channels, 3, 1, 1, true);
    net.pool(Op::max_pool, 2, 2);
    net.norm(true);
    net.act();
    net.flatten();
    net.linear(4);
    net.norm(true);
    check_gradients(net, {LossKind::squared_hinge, 0});
  }
}
