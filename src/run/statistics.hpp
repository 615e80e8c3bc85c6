#pragma once
#include <vector>

namespace qtrain::run {

/// Of at least one value, as median; deviation of at least two.
double mean(const std::vector<double>& values);
/// Of the sample (divided by n - 1).
double deviation(const std::vector<double>& values);
/// Of an even number the mean of the middle two.
double median(std::vector<double> values);

}  // namespace qtrain::run
