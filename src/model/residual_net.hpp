#pragma once
#include <string>

#include "model/graph.hpp"

namespace qtrain::model {

/// A residual network of basic blocks, He et al. 2016: what its members have in common is in residual_net().
struct ResidualNet {
  int stages = 3;
  int blocks = 3;              ///< of each stage
  int width = 16;              ///< channels of the first stage, doubled in each next one
  int stem_stride = 1;         ///< of the first convolution
  std::string shortcut = "a";  ///< where the shape changes: "a" (shortcut_pad) or "conv" (1x1 convolution)
  bool affine = true;          ///< learned scale and shift in batch norm
};

/// Stem, stages of blocks (stride 2 in the first block of each stage but the first), global average pool and
/// a linear layer. Layers are named stem.conv, stage1.block1.conv1, ..., stage2.block1.shortcut, ..., fc.
Graph residual_net(const std::string& name, const ResidualNet& settings, const Shape& input, int classes);

}  // namespace qtrain::model
