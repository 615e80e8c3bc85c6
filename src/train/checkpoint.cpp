#include "train/checkpoint.hpp"

#include <algorithm>
#include <utility>

#include "base/cast.hpp"
#include "base/error.hpp"

namespace qtrain::train {

NamedTensor flat_tensor(std::string name, std::span<const float> values) {
  return NamedTensor::of(std::move(name), {narrow<std::int64_t>(values.size())}, values);
}

const NamedTensor& checkpoint_tensor(const SafetensorsFile& file, const std::string& name, std::size_t size) {
  const NamedTensor* tensor = file.find(name);
  if (tensor == nullptr)
    fail(ExitCode::data,
         "the checkpoint has no tensor '{}': it is of another program version, start the run anew", name);
  if (element_count(tensor->shape) != size)
    fail(ExitCode::data, "the checkpoint's tensor '{}' has {} values, must have {}: start the run anew", name,
         element_count(tensor->shape), size);
  return *tensor;
}

void restore_floats(const SafetensorsFile& file, const std::string& name, std::span<float> values) {
  std::ranges::copy(checkpoint_tensor(file, name, values.size()).floats(), values.begin());
}

}  // namespace qtrain::train
