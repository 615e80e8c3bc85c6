#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "labs/gaussian_expectations.hpp"
#include "labs/lab.hpp"
#include "labs/ste_list.hpp"

namespace qtrain::labs {

/// What a spec says about two_layer_gaussian.
struct TwoLayerOptions {
  TwoLayer teacher{.v = {1, 1, -1}, .w = {1, 0}};
  std::string mode = "population";
  std::string task = "descent";
  SteList stes{.names = {"identity", "relu", "clipped_relu"}, .make = {}};
  std::vector<int> samples = {1000};
  std::string start = "random";
  TwoLayer given;
  double w_norm = 1;
  double perturbation = 0;
  double learning_rate = 0.05;
  int steps = 1000;
  double largest_eta = 2;
  int points = 50;
  LogSteps log;

  void read(spec::Reader& keys);
  bool is_sampled() const { return mode != "population"; }
  /// The start of the run with this seed.
  TwoLayer start_point(std::uint64_t seed) const;
};

}  // namespace qtrain::labs
