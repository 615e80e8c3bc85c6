#include "engine/parameters.hpp"

#include <algorithm>
#include <cmath>

#include "base/cast.hpp"
#include "base/random.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::engine {

namespace {

using Kind = ParameterSlot::Kind;

Kind kind_of(model::Parameter::Kind kind) {
  switch (kind) {
    case model::Parameter::Kind::weight:
      return Kind::weight;
    case model::Parameter::Kind::bias:
      return Kind::bias;
    case model::Parameter::Kind::gamma:
      return Kind::gamma;
    case model::Parameter::Kind::beta:
      break;
  }
  return Kind::beta;
}

/// N(0, 1), drawn anew until it lies within (-2, 2).
float truncated_normal(RandomStream& random) {
  float x = random.normal();
  while (std::abs(x) >= 2) x = random.normal();
  return x;
}

void draw(const model::Layer& layer, const Shape& shape, RandomStream& random, std::span<float> w) {
  const auto outputs = static_cast<double>(shape[0]);
  const double fan_in = static_cast<double>(element_count(shape)) / outputs;
  const double window = shape.size() == 4 ? static_cast<double>(shape[2] * shape[3]) : 1.0;
  const auto normal = [&](double fan) {
    const auto deviation = static_cast<float>(std::sqrt(2.0 / fan));
    for (float& x : w) x = deviation * random.normal();
  };
  switch (layer.init) {
    case model::Init::he_normal_fan_out:
      return normal(window * outputs);
    case model::Init::uniform_fan_in: {
      const auto bound = static_cast<float>(1.0 / std::sqrt(fan_in));
      for (float& x : w) x = random.uniform(-bound, bound);
      return;
    }
    case model::Init::truncated_normal: {
      const auto deviation = static_cast<float>(layer.deviation);
      for (float& x : w) x = deviation * truncated_normal(random);
      return;
    }
    case model::Init::uniform:
    case model::Init::glorot_uniform: {
      const bool glorot = layer.init == model::Init::glorot_uniform;
      const double unit = glorot ? std::sqrt(6.0 / (fan_in + window * outputs)) : 1.0;
      const auto bound = static_cast<float>(layer.deviation * unit);
      for (float& x : w) x = random.uniform(-bound, bound);
      return;
    }
  }
}

/// Where the values of a parameter that is no weight start.
std::vector<float> start_of(const ParameterSlot& slot, const model::Layer& layer) {
  const std::size_t size = element_count(slot.shape);
  if (slot.kind != Kind::bias) return std::vector<float>(size, slot.kind == Kind::gamma ? 1.0f : 0.0f);
  const auto bias = static_cast<float>(layer.initial_bias);
  if (layer.op != model::Op::lstm) return std::vector<float>(size, bias);
  std::vector<float> start(size, 0.0f);  // of the gates i, f, g, o
  std::fill_n(start.begin() + static_cast<std::ptrdiff_t>(size / 4), size / 4, bias);
  return start;
}

}  // namespace

Parameters::Parameters(const model::Graph& graph, const Quantization& quantization, std::uint64_t seed)
    : graph_(graph), seed_(seed) {
  const auto parameters = model::parameters(graph);
  const auto shapes = model::infer_shapes(graph);
  for (std::size_t k = 0; k < graph.layers.size(); ++k) {
    if (graph.layers[k].op != model::Op::batch_norm) continue;
    const auto channels = narrow<std::size_t>(shapes[k][0]);
    statistics_[static_cast<int>(k)] = {std::vector<float>(channels, 0.0f),
                                        std::vector<float>(channels, 1.0f)};
  }
  QTRAIN_CHECK(quantization.weights.empty() || quantization.weights.size() == parameters.size(),
               "{} weight choices for {} parameters", quantization.weights.size(), parameters.size());
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const model::Parameter& parameter = parameters[p];
    ParameterSlot slot{.name = parameter.name,
                       .file_name = parameter.name,
                       .kind = kind_of(parameter.kind),
                       .shape = parameter.shape};
    slot.size = element_count(parameter.shape);
    const int index = static_cast<int>(slots_.size());
    add(slot, parameter.layer);
    const bool quantized = !quantization.weights.empty() && quantization.weights[p];
    if (slot.kind != Kind::weight && !quantized) continue;
    Weight& weight = weights_.emplace_back();
    weight.slot = index;
    weight.elements = slot.size;
    weight_of_slot_.back() = static_cast<int>(weights_.size()) - 1;
    if (!quantized) continue;
    weight.method = quantization.weights[p]({parameter.name, parameter.shape});
    slots_.back().method = weight.method.get();
    slots_.back().size = slot.size * weight.method->latents_per_weight();
    for (const auto& learned : weight.method->learned()) {
      weight.learned_slots.push_back(static_cast<int>(slots_.size()));
      add_learned(-1, parameter.name, {learned});
    }
  }
}

void Parameters::add(ParameterSlot slot, int layer) {
  slot.index = static_cast<int>(slots_.size());
  slots_.push_back(std::move(slot));
  layer_of_slot_.push_back(layer);
  initial_of_slot_.emplace_back();
  weight_of_slot_.push_back(-1);
}

void Parameters::add_learned(int layer, const std::string& layer_name,
                             const std::vector<quant::LearnedParameter>& learned) {
  for (const auto& parameter : learned) {
    const std::string name = layer_name + "." + parameter.name;
    add({.name = name,
         .file_name = parameter.unit.empty() ? name : name + "/" + parameter.unit,
         .kind = Kind::learned,
         .shape = {narrow<std::int64_t>(parameter.initial.size())},
         .size = parameter.initial.size(),
         .learning_rate_factor = parameter.learning_rate_factor,
         .decay = parameter.decay,
         .gradient_limit = std::isfinite(parameter.gradient_limit) ? parameter.gradient_limit : 0,
         .low = parameter.low,
         .high = parameter.high,
         .pulled = layer < 0},
        layer);
    initial_of_slot_.back() = parameter.initial;
  }
}

void Parameters::allocate(const std::function<bool(const ParameterSlot&)>& frozen) {
  std::size_t total = 0;
  for (ParameterSlot& slot : slots_) {
    slot.offset = total;
    total += slot.size;
    slot.frozen = frozen && frozen(slot);
  }
  latents_ = AlignedBuffer<float>(total);
  gradients_ = AlignedBuffer<float>(total);
  for (Weight& weight : weights_) {
    const ParameterSlot& slot = slots_[static_cast<std::size_t>(weight.slot)];
    weight.scales.assign(static_cast<std::size_t>(slot.shape[0]), 1.0f);
    if (!weight.method) continue;
    weight.used_gradient = AlignedBuffer<float>(weight.elements);
    weight.used = AlignedBuffer<float>(weight.elements);
    weight.codes = AlignedBuffer<float>(weight.elements);
    if (weight.learned_slots.empty()) continue;
    const std::size_t first = slots_[static_cast<std::size_t>(weight.learned_slots.front())].offset;
    const ParameterSlot& last = slots_[static_cast<std::size_t>(weight.learned_slots.back())];
    const std::size_t count = last.offset + last.size - first;
    weight.method->bind(latents().subspan(first, count), gradients().subspan(first, count));
  }
  initialize(seed_);
}

void Parameters::initialize(std::uint64_t seed) {
  const auto values = [&](std::size_t s) { return latents().subspan(slots_[s].offset, slots_[s].size); };
  for (std::size_t s = 0; s < slots_.size(); ++s)
    if (slots_[s].kind == Kind::learned) std::ranges::copy(initial_of_slot_[s], values(s).begin());
  std::uint32_t drawn = 0;
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    const ParameterSlot& slot = slots_[s];
    const std::span<float> u = values(s);
    if (slot.kind == Kind::learned) continue;
    const model::Layer& layer = graph_.layers[static_cast<std::size_t>(layer_of_slot_[s])];
    std::vector<float> w = start_of(slot, layer);
    if (slot.kind == Kind::weight) {
      RandomStream random(seed, Purpose::initial_weights, drawn++);
      draw(layer, slot.shape, random, w);
    }
    if (slot.kind == Kind::bias && layer.bias_deviation > 0) {
      RandomStream random(seed, Purpose::initial_weights, drawn - 1, 1);
      for (float& b : w) b += static_cast<float>(layer.bias_deviation) * random.normal();
    }
    if (slot.method != nullptr)
      slot.method->initialize(w, u);
    else
      std::ranges::copy(w, u.begin());
  }
}

const ParameterSlot* Parameters::find(int layer, Kind kind) const {
  for (std::size_t s = 0; s < slots_.size(); ++s)
    if (layer_of_slot_[s] == layer && slots_[s].kind == kind) return &slots_[s];
  return nullptr;
}

std::span<float> Parameters::learned_values(int layer) {
  std::size_t first = 0, count = 0;
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    if (layer_of_slot_[s] != layer || slots_[s].kind != Kind::learned) continue;
    if (count == 0) first = slots_[s].offset;
    count += slots_[s].size;
  }
  return latents().subspan(first, count);
}

std::span<float> Parameters::learned_gradients(int layer) {
  const std::span<float> values = learned_values(layer);
  return gradients().subspan(static_cast<std::size_t>(values.data() - latents_.data()), values.size());
}

bool Parameters::any_learned(int layer, const std::vector<int>& indices) const {
  return std::ranges::any_of(indices, [&](int index) {
    const auto s = static_cast<std::size_t>(index);
    return slots_[s].kind == Kind::learned && layer_of_slot_[s] == layer;
  });
}

std::size_t Parameters::weight_index(const ParameterSlot& slot) const {
  return narrow<std::size_t>(weight_of_slot_[static_cast<std::size_t>(slot.index)]);
}

const float* Parameters::source(const Weight& weight, Content content) const {
  if (!weight.method) return latents_.data() + slots_[static_cast<std::size_t>(weight.slot)].offset;
  return content == Content::codes ? weight.codes.data() : weight.used.data();
}

const void* Parameters::copy(const ParameterSlot& slot, Content content, const onednn::Desc& desc) {
  Weight& weight = weights_[weight_index(slot)];
  if (!weight.method) content = Content::used;
  for (const Copy& c : weight.copies)
    if (c.content == content && c.desc == desc)
      return c.reorder ? static_cast<const void*>(c.data.data()) : source(weight, content);
  Copy& c = weight.copies.emplace_back();
  c.content = content;
  c.desc = desc;
  const onednn::Desc plain = onednn::plain(slot.shape);
  if (desc == plain) return source(weight, content);
  c.data = AlignedBuffer<std::byte>(desc.get_size());
  const void* from = source(weight, content);
  const bool rounds = onednn::is_bfloat16(desc);
  if (rounds) from = (c.rounded = AlignedBuffer<unsigned short>(weight.elements)).data();
  c.reorder = std::make_unique<onednn::Reorder>(
      onednn::in_storage(plain, rounds ? Storage::bfloat16 : Storage::float32), from, desc, c.data.data());
  fill(weight, c);
  return c.data.data();
}

void Parameters::keep_packed(const ParameterSlot& slot, kernels::BitConvolution& packed) {
  Weight& weight = weights_[weight_index(slot)];
  if (weight.has_codes) packed.pack_weights(weight.codes.span());
  weight.packed.push_back(&packed);
}

void Parameters::fill(const Weight& weight, Copy& copy) const {
  if (!copy.reorder) return;
  if (copy.rounded.size() > 0)
    kernels::active().to_bfloat16(source(weight, copy.content), copy.rounded.data(), copy.rounded.size());
  copy.reorder->run();
}

std::span<const float> Parameters::used(const ParameterSlot& slot) const {
  if (!is_weight(slot)) return latents_.span().subspan(slot.offset, slot.size);
  const Weight& weight = weights_[weight_index(slot)];
  return {source(weight, Content::used), weight.elements};
}

std::span<const float> Parameters::codes(const ParameterSlot& slot) const {
  if (slot.method == nullptr) return latents_.span().subspan(slot.offset, slot.size);
  return weights_[weight_index(slot)].codes.span();
}

std::span<const float> Parameters::distinct_scales(const ParameterSlot& slot) const {
  static constexpr float kOne = 1;
  if (slot.method == nullptr) return {&kOne, 1};
  const std::vector<float>& scales = weights_[weight_index(slot)].scales;
  const bool equal = std::ranges::all_of(scales, [&](float scale) { return scale == scales.front(); });
  return std::span(scales).first(equal ? 1 : scales.size());
}

void Parameters::set_used(const ParameterSlot& slot, std::span<const float> codes,
                          std::span<const float> scales) {
  const bool quantized = slot.method != nullptr;
  const std::span<float> place =
      quantized ? weights_[weight_index(slot)].used.span() : latents().subspan(slot.offset, slot.size);
  const std::size_t rows = std::max<std::size_t>(scales.size(), 1);
  QTRAIN_CHECK(codes.size() == place.size() && codes.size() % rows == 0 && !scales.empty(),
               "{} codes and {} scales for {} of {}", codes.size(), scales.size(), place.size(), slot.name);
  for (std::size_t i = 0; i < codes.size(); ++i) place[i] = scales[i / (codes.size() / rows)] * codes[i];
  if (!quantized) return;
  Weight& weight = weights_[weight_index(slot)];
  QTRAIN_CHECK(rows == 1 || rows == weight.scales.size(), "{} scales for {} rows of {}", rows,
               weight.scales.size(), slot.name);
  std::ranges::copy(codes, weight.codes.data());
  for (std::size_t row = 0; row < weight.scales.size(); ++row)
    weight.scales[row] = scales[rows == 1 ? 0 : row];
}

std::span<float> Parameters::used_gradient(const ParameterSlot& slot) {
  if (slot.method == nullptr) return gradients().subspan(slot.offset, slot.size);
  return weights_[weight_index(slot)].used_gradient.span();
}

quant::WeightContext Parameters::context_for(const Weight& weight,
                                             const quant::WeightContext& context) const {
  quant::WeightContext own = context;
  const ParameterSlot& slot = slots_[static_cast<std::size_t>(weight.slot)];
  own.tensor = static_cast<std::uint32_t>(weight.slot);
  // The optimizer's second moments arrive as one flat vector over all slots.
  if (!context.second_moment.empty())
    own.second_moment = context.second_moment.subspan(slot.offset, slot.size);
  return own;
}

void Parameters::use(const quant::WeightContext& context, Weights which, ThreadPool& pool) {
  context_ = context;
  context_.second_moment = {};
  pool.run(static_cast<int>(weights_.size()),
           [&](int task, int) { refresh(weights_[static_cast<std::size_t>(task)], context, which); });
}

void Parameters::refresh(Weight& weight, const quant::WeightContext& context, Weights which) {
  const ParameterSlot& slot = slots_[static_cast<std::size_t>(weight.slot)];
  const bool as_it_is = which == Weights::latent && slot.size == weight.elements;
  if (weight.method && which != Weights::set) {
    const std::span<const float> u = latents().subspan(slot.offset, slot.size);
    const quant::WeightContext own = context_for(weight, context);
    if (as_it_is)
      std::ranges::copy(u, weight.used.data());
    else if (which == Weights::final)
      weight.method->final(u, own, weight.used.span());
    else
      weight.method->used(u, own, weight.used.span());
    const std::size_t count = weight.method->scale_count();
    weight.has_codes = !as_it_is && weight.method->codes(weight.used.span(), weight.codes.span(),
                                                         std::span(weight.scales).first(count));
    if (weight.has_codes) {
      if (count == 1) std::ranges::fill(weight.scales, weight.scales.front());
    } else {
      QTRAIN_CHECK(as_it_is || !weight.method->code_range(), "{} gave no codes, though it promised them",
                   slot.name);
      std::ranges::copy(weight.used.span(), weight.codes.data());
      std::ranges::fill(weight.scales, 1.0f);
    }
  }
  for (Copy& copy : weight.copies) fill(weight, copy);
  if (as_it_is) return;
  for (kernels::BitConvolution* packed : weight.packed) packed->pack_weights(weight.codes.span());
}

void Parameters::pull(ThreadPool& pool) {
  pool.run(static_cast<int>(weights_.size()), [&](int task, int) {
    Weight& weight = weights_[static_cast<std::size_t>(task)];
    if (!weight.method) return;
    const ParameterSlot& slot = slots_[static_cast<std::size_t>(weight.slot)];
    weight.method->pulled(latents().subspan(slot.offset, slot.size), weight.used.span(),
                          weight.used_gradient.span(), context_for(weight, context_),
                          gradients().subspan(slot.offset, slot.size));
  });
}

void Parameters::settle(const quant::WeightContext& context, ThreadPool& pool) {
  pool.run(static_cast<int>(weights_.size()), [&](int task, int) {
    const Weight& weight = weights_[static_cast<std::size_t>(task)];
    const ParameterSlot& slot = slots_[static_cast<std::size_t>(weight.slot)];
    if (!weight.method) return;
    if (slot.frozen && weight.method->latent_kind() != quant::LatentKind::rescaled) return;
    weight.method->settled(latents().subspan(slot.offset, slot.size), context_for(weight, context));
  });
  for (const ParameterSlot& slot : slots_)
    if (slot.kind == Kind::learned && !slot.frozen)
      for (float& x : latents().subspan(slot.offset, slot.size)) x = std::clamp(x, slot.low, slot.high);
}

std::size_t Parameters::memory_bytes() const {
  std::size_t floats = latents_.size() + gradients_.size(), bytes = 0;
  for (const Weight& weight : weights_) {
    floats += weight.used.size() + weight.codes.size() + weight.used_gradient.size();
    for (const Copy& copy : weight.copies)
      bytes += copy.data.size() + copy.rounded.size() * sizeof(unsigned short);
    for (const kernels::BitConvolution* packed : weight.packed) bytes += packed->weight_bytes();
  }
  return bytes + floats * sizeof(float);
}

}  // namespace qtrain::engine
