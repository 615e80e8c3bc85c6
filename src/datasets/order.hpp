#pragma once
#include <span>
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

/// The shifts that a placement may have, both ends included.
struct Shifts {
  int first_down = 0, last_down = 0;
  int first_right = 0, last_right = 0;
};

/// Draws a placement from (seed, epoch, sample): shifts uniform, a flip with probability 1/2 if `may_flip`.
/// Flips do not depend on the shifts, nor shifts on `may_flip`.
Placement draw_placement(const EpochOrder& order, int sample, const Shifts& shifts, bool may_flip);

/// How the colours of one image change; pixels are byte / 255.
struct Colours {
  float brightness = 0;  ///< added to all pixels
  float contrast = 1;    ///< then each channel's pixels are so many times as far from their mean
};

/// Draws brightness from U(-largest, largest) bytes and contrast from U(low, high), given as two numbers or
/// none, from (seed, epoch, sample). Neither depends on the other, nor on the placement.
Colours draw_colours(const EpochOrder& order, int sample, double largest, std::span<const double> contrast);

}  // namespace qtrain::datasets
