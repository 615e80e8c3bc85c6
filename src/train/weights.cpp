#include "train/weights.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string_view>

#include "base/cast.hpp"
#include "base/error.hpp"
#include "train/checkpoint.hpp"

namespace qtrain::train {
namespace {

using Slot = engine::ParameterSlot;

constexpr float kSameWeight = 1e-5F;  ///< relative; rounding of a scale that is fitted again

std::span<float> latent(engine::Engine& engine, const Slot& slot) {
  return engine.latents().subspan(slot.offset, slot.size);
}

void append_statistics(const engine::Engine& engine, std::vector<NamedTensor>& tensors) {
  for (const engine::StatisticsSlot& slot : engine.statistics())
    tensors.push_back(NamedTensor::of(slot.name, {narrow<std::int64_t>(slot.values.size())},
                                      std::span<const float>(slot.values)));
}

/// Whether a name is that of a parameter or statistic, which every file for the same model has.
bool belongs_to_model(std::string_view name) {
  static constexpr std::array<std::string_view, 6> kEndings = {
      ".weight", ".bias", ".gamma", ".beta", ".running_mean", ".running_variance"};
  if (name.find(".weight.") != name.npos || name.find(".bias.") != name.npos)
    return false;  // learned with it
  return std::ranges::any_of(kEndings, [&](std::string_view ending) { return name.ends_with(ending); });
}

/// Exactly quantized weights that come with what their quantizer learned must be what it makes of them.
void require_fixed_points(engine::Engine& engine, const std::vector<NamedTensor>& tensors,
                          const std::vector<int>& learned, const std::string& source) {
  const auto find = [&](const std::string& name) {
    return std::ranges::find(tensors, name, &NamedTensor::name);
  };
  std::vector<float> again;
  for (const Slot& slot : engine.slots()) {
    if (slot.method == nullptr || find(slot.name + "/scales") == tensors.end()) continue;
    const auto of_slot = [&](int index) {
      return engine.slots()[static_cast<std::size_t>(index)].name.starts_with(slot.name + ".");
    };
    if (std::ranges::none_of(learned, of_slot)) continue;
    const std::vector<float> weights = find(slot.file_name)->floats();
    again.resize(weights.size());
    slot.method->final(latent(engine, slot), {}, again);
    for (std::size_t i = 0; i < weights.size(); ++i)
      if (std::abs(again[i] - weights[i]) > kSameWeight * std::abs(weights[i]))
        fail(ExitCode::data,
             "{} holds quantized weights, which what the quantizers of {} learned map to others: name the "
             "checkpoint.safetensors of that run",
             source, slot.name);
  }
}

/// Tensors by name, and what did not fit.
class Source {
 public:
  explicit Source(const std::vector<NamedTensor>& tensors) {
    for (const NamedTensor& tensor : tensors) by_name_.emplace(tensor.name, &tensor);
  }

  /// The tensor to take, or nullptr after noting why not.
  const NamedTensor* take(const std::string& name, const Shape& shape, bool required) {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) {
      if (required) missing_.push_back(name);
      return nullptr;
    }
    const NamedTensor* tensor = found->second;
    by_name_.erase(found);
    if (tensor->shape == shape && tensor->dtype == Dtype::f32) return tensor;
    other_shape_.push_back(
        fmt::format("{} (is {}, must be float32 {})", name, to_string(tensor->shape), to_string(shape)));
    return nullptr;
  }

  void fail_if_unfit(const std::string& source) const {
    std::vector<std::string> foreign;
    for (const auto& item : by_name_)
      if (belongs_to_model(item.first)) foreign.push_back(item.first);
    std::vector<std::string> parts;
    const auto add = [&parts](const char* what, const std::vector<std::string>& names) {
      if (!names.empty()) parts.push_back(fmt::format("{} {}", what, fmt::join(names, ", ")));
    };
    add("it lacks", missing_);
    add("other shapes or types:", other_shape_);
    add("not in this model:", foreign);
    if (!parts.empty())
      fail(ExitCode::data, "{} does not fit the model, use weights of the same architecture: {}", source,
           fmt::join(parts, "; "));
  }

 private:
  std::map<std::string, const NamedTensor*> by_name_;
  std::vector<std::string> missing_, other_shape_;
};

}  // namespace

std::vector<NamedTensor> used_tensors(const engine::Engine& engine) {
  std::vector<NamedTensor> tensors;
  for (const Slot& slot : engine.slots())
    tensors.push_back(NamedTensor::of(slot.file_name, slot.shape, engine.used(slot)));
  append_statistics(engine, tensors);
  for (const Slot& slot : engine.slots())
    if (slot.method != nullptr) tensors.push_back(flat_tensor(slot.name + "/scales", engine.scales(slot)));
  return tensors;
}

std::vector<NamedTensor> carried_tensors(engine::Engine& engine, const quant::WeightContext& context) {
  std::vector<NamedTensor> tensors;
  std::vector<float> weights;
  for (const Slot& slot : engine.slots()) {
    std::span<const float> values = latent(engine, slot);
    if (slot.method != nullptr) {
      weights.resize(element_count(slot.shape));
      slot.method->carried(values, context, weights);
      values = weights;
    }
    tensors.push_back(NamedTensor::of(slot.file_name, slot.shape, values));
  }
  append_statistics(engine, tensors);
  return tensors;
}

void take_quantizers(std::vector<NamedTensor>& tensors, const engine::Engine& engine,
                     const std::vector<NamedTensor>& quantizers, const std::string& source) {
  std::vector<std::string> missing;
  bool learns = false;
  for (const Slot& slot : engine.slots()) {
    if (slot.kind != Slot::Kind::learned) continue;
    learns = true;
    const auto found = std::ranges::find(quantizers, slot.file_name, &NamedTensor::name);
    if (found == quantizers.end()) {
      missing.push_back(slot.file_name);
      continue;
    }
    std::erase_if(tensors, [&](const NamedTensor& tensor) { return tensor.name == slot.file_name; });
    tensors.push_back(*found);
  }
  if (learns)  // the weights are not those that these quantizers made
    std::erase_if(tensors, [](const NamedTensor& tensor) { return tensor.name.ends_with("/scales"); });
  if (!missing.empty())
    fail(ExitCode::data,
         "{} has other quantizers than this net, use one quantized in the same way: it lacks {}", source,
         fmt::join(missing, ", "));
  if (!learns)
    fail(ExitCode::usage, "quantize.init is {}, but these quantizers learn nothing: leave it out", source);
}

std::vector<int> load_tensors(engine::Engine& engine, const std::vector<NamedTensor>& tensors,
                              const std::string& source) {
  std::vector<int> learned;
  Source from(tensors);
  std::vector<const NamedTensor*> of_slot, of_statistic;
  for (const Slot& slot : engine.slots())
    of_slot.push_back(from.take(slot.file_name, slot.shape, slot.kind != Slot::Kind::learned));
  for (const engine::StatisticsSlot& slot : engine.statistics())
    of_statistic.push_back(from.take(slot.name, {narrow<std::int64_t>(slot.values.size())}, true));
  from.fail_if_unfit(source);
  for (const Slot& slot : engine.slots()) {
    const NamedTensor* tensor = of_slot[static_cast<std::size_t>(slot.index)];
    if (tensor == nullptr) continue;
    if (slot.kind == Slot::Kind::learned) learned.push_back(slot.index);
    const std::vector<float> values = tensor->floats();
    if (slot.method != nullptr)
      slot.method->initialize(values, latent(engine, slot));
    else
      std::ranges::copy(values, latent(engine, slot).begin());
  }
  for (std::size_t i = 0; i < of_statistic.size(); ++i)
    std::ranges::copy(of_statistic[i]->floats(), engine.statistics()[i].values.begin());
  require_fixed_points(engine, tensors, learned, source);
  return learned;
}

}  // namespace qtrain::train
