#pragma once
#include <vector>

#include "model/builder.hpp"

namespace qtrain::model {

/// A VGG-like network without its last linear layer.
struct Vgg {
  std::vector<std::vector<int>> stages;  ///< channels of each convolution 3x3; a max pool 2x2 ends a stage
  std::vector<int> features;             ///< of each hidden linear layer
  bool affine = true;                    ///< learned scale and shift in batch norm
  bool pool_before_batch_norm = false;   ///< else after the activation
};

/// Appends conv1, bn1, act1, ..., pool1, ..., flatten, fc1, ...: each convolution and each linear layer has a
/// bias and is followed by batch norm and activation. Returns the last layer, whose output is a vector.
int append_vgg(Builder& net, const Vgg& vgg);

}  // namespace qtrain::model
