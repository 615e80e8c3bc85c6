#include "quant/weight_method.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "quant/table.hpp"

namespace qtrain::quant {

namespace weights {
#define METHOD(name) WeightFactory read_##name(spec::Reader& keys);
#include "quant/weights/methods.def"
#undef METHOD
}  // namespace weights

namespace {

constexpr WeightEntry kMethods[] = {
#define METHOD(name) {#name, &weights::read_##name},
#include "quant/weights/methods.def"
#undef METHOD
};

void copy(std::span<const float> from, std::span<float> to) {
  QTRAIN_CHECK(from.size() == to.size(), "{} values into {}", from.size(), to.size());
  if (from.data() != to.data()) std::ranges::copy(from, to.begin());
}

}  // namespace

void WeightMethod::initialize(std::span<const float> w, std::span<float> u) { copy(w, u); }

void WeightMethod::carried(std::span<const float> u, const WeightContext& /*context*/,
                           std::span<float> w) const {
  copy(u, w);
}

void WeightMethod::pulled(std::span<const float> /*u*/, std::span<const float> /*w*/,
                          std::span<const float> gw, const WeightContext& /*context*/, std::span<float> gu) {
  copy(gw, gu);
}

void WeightMethod::settled(std::span<float> /*u*/, const WeightContext& /*context*/) {}

void WeightMethod::final(std::span<const float> u, const WeightContext& context, std::span<float> w) {
  used(u, context, w);
}

bool WeightMethod::codes(std::span<const float> /*w*/, std::span<float> /*codes*/,
                         std::span<float> /*scales*/) const {
  return false;
}

std::span<const WeightEntry> weight_methods() { return kMethods; }

void WeightSpec::read(spec::Reader keys) {
  const WeightEntry* entry = pick(keys, "method", method, weight_methods(), "how weights are quantized");
  if (entry == nullptr) entry = kMethods;
  make = entry->read(keys);
  keys.finish();
}

}  // namespace qtrain::quant
