#include "train/weight_average.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "train/checkpoint.hpp"

namespace qtrain::train {
namespace {

constexpr const char* kName = "average";
constexpr std::size_t kBlock = 16;  // a constant length is what g++ -O2 needs to use vector instructions

void approach(float* __restrict a, const float* __restrict u, std::size_t size, float share) {
  std::size_t start = 0;
  for (; start + kBlock <= size; start += kBlock)
    for (std::size_t i = start; i < start + kBlock; ++i) a[i] += share * (u[i] - a[i]);
  for (std::size_t i = start; i < size; ++i) a[i] += share * (u[i] - a[i]);
}

}  // namespace

void WeightAverage::start(std::span<const float> latents) {
  if (decay_ <= 0) return;
  average_ = AlignedBuffer<float>(latents.size());
  std::ranges::copy(latents, average_.data());
}

void WeightAverage::update(std::span<const float> latents, std::int64_t steps) {
  if (decay_ <= 0) return;
  QTRAIN_CHECK(latents.size() == average_.size(), "{} latents for {} averages", latents.size(),
               average_.size());
  const auto t = static_cast<double>(steps);
  const double decay = std::min(decay_, (1 + t) / (10 + t));
  approach(average_.data(), latents.data(), latents.size(), static_cast<float>(1 - decay));
}

void WeightAverage::swap(std::span<float> latents) {
  if (decay_ > 0) std::ranges::swap_ranges(average_.span(), latents);
}

void WeightAverage::copy_to(std::span<float> latents) const {
  if (decay_ > 0) std::ranges::copy(average_.span(), latents.begin());
}

void WeightAverage::save(std::vector<NamedTensor>& tensors) const {
  if (decay_ > 0) tensors.push_back(flat_tensor(kName, average_.span()));
}

void WeightAverage::restore(const SafetensorsFile& file) {
  if (decay_ > 0) restore_floats(file, kName, average_.span());
}

}  // namespace qtrain::train
