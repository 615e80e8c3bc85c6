#include "quant/activation.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "quant/table.hpp"

namespace qtrain::quant {

namespace activations {
#define QUANTIZER(name, most_bits, ste)                        \
  ActivationFactory read_##name(spec::Reader& keys, int bits); \
  std::string refuses_##name(const std::string& ste);
#include "quant/activations/quantizers.def"
#undef QUANTIZER
}  // namespace activations

namespace ste {
#define STE(name, support) SteFactory read_##name(spec::Reader& keys);
#include "quant/ste/stes.def"
#undef STE
}  // namespace ste

namespace {

constexpr ActivationEntry kQuantizers[] = {
#define QUANTIZER(name, most_bits, ste) \
  {#name, most_bits, #ste, &activations::read_##name, &activations::refuses_##name},
#include "quant/activations/quantizers.def"
#undef QUANTIZER
};

constexpr SteEntry kStes[] = {
#define STE(name, support) {#name, SteSupport::support, &ste::read_##name},
#include "quant/ste/stes.def"
#undef STE
};

/// Keys beside `none` mean nothing; they may have their defaults, as in a resolved spec.
void refuse_beside_none(spec::Reader& keys, const ActivationSpec& spec) {
  const ActivationSpec usual;
  constexpr const char* kSentence = "is {}, but no activation is quantized: must be {}";
  if (spec.bits != usual.bits) keys.mistake("bits", fmt::format(kSentence, spec.bits, usual.bits));
  if (spec.ste != usual.ste) keys.mistake("ste", fmt::format(kSentence, spec.ste, usual.ste));
}

}  // namespace

std::span<const ActivationEntry> activation_quantizers() { return kQuantizers; }
std::span<const SteEntry> stes() { return kStes; }

void ActivationSpec::read(spec::Reader keys) {
  const ActivationEntry* entry = pick(keys, "quantizer", quantizer, activation_quantizers(),
                                      "how activations are quantized; none: plain ReLU", {"none"});
  if (entry == nullptr) keys.drop_left_over({"bits", "ste"});
  const int most_bits = entry != nullptr ? entry->most_bits : 8;
  bits = std::min(bits, most_bits);
  keys.field("bits", bits, spec::between(1, most_bits), "bits of an activation");
  if (entry != nullptr) ste = entry->ste;
  const SteEntry* surrogate = pick(keys, "ste", ste, stes(), "derivative used in place of the quantizer's");
  make = nullptr;
  make_ste = nullptr;
  if (entry == nullptr && !keys.names_unknown()) refuse_beside_none(keys, *this);
  if (entry != nullptr && surrogate != nullptr) {
    const std::string refusal = entry->refuses(ste);
    if (!refusal.empty()) keys.mistake("ste", fmt::format("is {}, but {}", ste, refusal));
    make = entry->read(keys, bits);
    make_ste = surrogate->read(keys);
  }
  keys.finish();
}

}  // namespace qtrain::quant
