#pragma once
#include <vector>

#include "datasets/dataset.hpp"

namespace qtrain::datasets {

/// The order in which the samples [0, count) are visited: a Fisher-Yates permutation drawn from (seed,
/// epoch), or 0, 1, 2, ... without `shuffle`.
std::vector<int> epoch_order(const EpochOrder& order, int count, bool shuffle);

/// The order in which `workers` visit the samples when each keeps to a set of its own: the sets are cut from
/// a permutation drawn from the seed alone, and each is permuted anew every epoch (neither without
/// `shuffle`). Batches are laid out as Part says.
std::vector<int> split_order(const EpochOrder& order, int count, bool shuffle, int batch_size, int workers);

/// How one image is placed: output pixel (y, x) shows input pixel (y + down, x + right) before mirroring.
struct Placement {
  int down = 0;
  int right = 0;
  bool flip = false;  ///< mirrored left and right after the crop
};

/// Draws a placement from (seed, epoch, sample): shifts uniform in [-padding, padding], a flip with
/// probability 1/2 if `may_flip`. Flips do not depend on the padding, nor shifts on `may_flip`.
Placement draw_placement(const EpochOrder& order, int sample, int padding, bool may_flip);

}  // namespace qtrain::datasets
