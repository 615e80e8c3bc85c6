// Every weight method, activation quantizer and STE in training, on a small net of generated images.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "read_spec.hpp"
#include "train/resume.hpp"
#include "train/weights.hpp"

namespace qtrain::train {
namespace {

using namespace test;

const Words kBinary = {"weights.method=binary_connect"};

}  // namespace

TEST_CASE("every weight method trains, resumes to the same bits and ends hard-quantized") {
  std::vector<std::string> specs = {
#define VARIANT(spec) spec,
#include "quant/weight_variants.def"
#undef VARIANT
  };
  for (const quant::WeightEntry& entry : quant::weight_methods()) specs.emplace_back(entry.name);
  for (const std::string& spec : specs) {
    CAPTURE(spec);
    train_and_resume({"weights={method: " + spec + "}"});
  }
}

TEST_CASE("every pair of activation quantizer and STE trains and resumes to the same bits") {
  for (const quant::ActivationEntry& quantizer : quant::activation_quantizers())
    for (const quant::SteEntry& ste : quant::stes()) {
      if (!quantizer.refuses(ste.name).empty()) continue;
      CAPTURE(quantizer.name);
      CAPTURE(ste.name);
      train_and_resume({fmt::format("activations={{quantizer: {}, ste: {}}}", quantizer.name, ste.name)});
    }
}

TEST_CASE("every gradient quantizer trains and resumes to the same bits") {
  for (const quant::GradientEntry& entry : quant::gradient_methods()) {
    CAPTURE(entry.name);
    const bool exchanged =
        read_spec<quant::GradientSpec>(fmt::format("{{method: {}}}", entry.name)).make.exchanged != nullptr;
    const Words method = {
        fmt::format("gradients={{method: {}{}}}", entry.name, exchanged ? ", clip: 2.5" : "")};
    train_and_resume(kBinary + method);
    train_and_resume(kBinary + method + Words{"workers.count=3"});
  }
}

/// Learned values by name.
std::map<std::string, std::vector<float>> learned_values(Trainer& trainer) {
  std::map<std::string, std::vector<float>> values;
  for (const engine::ParameterSlot& slot : trainer.engine().slots())
    if (slot.kind == engine::ParameterSlot::Kind::learned) {
      const std::span<const float> learned = trainer.engine().used(slot);
      values[slot.name].assign(learned.begin(), learned.end());
    }
  return values;
}

const Watch stop_at_once = [](const Progress&) { return false; };

TEST_CASE("QIL: float weights start the intervals, and a stage of fewer bits goes on with them") {
  const auto qil = [](int bits) {
    return Experiment(Words{fmt::format("weights={{method: qil, bits: {}}}", bits),
                            fmt::format("activations={{quantizer: qil, bits: {}}}", bits)} +
                      kSmall);
  };
  const Experiment in_floats(kSmall);
  Trainer plain(in_floats.stage(1), in_floats.loaded.dataset);
  plain.run_epoch(go_on);
  const std::vector<NamedTensor> warm = latent_tensors(plain.engine());

  const Experiment four = qil(4);
  Trainer first(four.stage(1), four.loaded.dataset);
  first.start_from(warm, "the float net");
  for (const engine::ParameterSlot& slot : first.engine().slots()) {
    if (slot.method == nullptr) continue;
    const std::span<const float> u = first.engine().latents().subspan(slot.offset, slot.size);
    float largest = 0;
    for (const float value : u) largest = std::max(largest, std::abs(value));
    CHECK(learned_values(first).at(slot.name + ".c")[0] == largest / 2);
  }
  first.run_epoch(go_on);
  const auto carried = learned_values(first);

  const Experiment three = qil(3);
  Trainer second(three.stage(1), three.loaded.dataset);
  second.start_from(latent_tensors(first.engine()), "the stage before");
  CHECK(learned_values(second) == carried);
  Trainer fresh(three.stage(1), three.loaded.dataset);
  fresh.start_from(warm, "the float net");
  const auto before = learned_values(fresh);
  fresh.run_epoch(stop_at_once);
  second.run_epoch(stop_at_once);
  // One step of a hundredth of the rate moves an interval little; a start from data would move it much.
  for (const auto& [name, values] : carried) {
    CAPTURE(name);
    CHECK(std::abs(learned_values(second).at(name)[0] - values[0]) <= 1e-3f);
    if (name.find("act") != name.npos)
      CHECK(std::abs(learned_values(fresh).at(name)[0] - before.at(name)[0]) > 0.1f);
  }
}

}  // namespace qtrain::train
