// Every weight method, activation quantizer and STE in training, on a small net of generated images.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "train/experiment.hpp"
#include "train/weights.hpp"

namespace qtrain::train {
namespace {

using namespace test;

const Words kSmall = {"optimizer.name=adam", "optimizer.learning_rate=0.01", "dataset.limit.train=96"};

/// Three epochs straight, and with a stop within the second one: both must end in the same bits.
void train_and_resume(const Words& words) {
  const Experiment experiment(words + kSmall);
  Trainer whole(experiment.stage(3), experiment.loaded.dataset);
  std::vector<EpochRecord> records;
  while (!whole.finished()) records.push_back(*whole.run_epoch(go_on));
  for (const EpochRecord& record : records) {
    CHECK(std::isfinite(record.train_loss));
    CHECK(std::isfinite(record.quantized_val_loss));
  }

  int batches = 0;
  const Watch stop = [&](const Progress& progress) { return !progress.training || ++batches != 4; };
  Trainer first(experiment.stage(3), experiment.loaded.dataset);
  std::vector<EpochRecord> resumed;
  while (const std::optional<EpochRecord> record = first.run_epoch(stop)) resumed.push_back(*record);
  Trainer second(experiment.stage(3, 2), experiment.loaded.dataset);
  second.restore({.tensors = first.save(), .metadata = {}});
  while (!second.finished()) resumed.push_back(*second.run_epoch(go_on));
  REQUIRE(resumed.size() == records.size());
  for (std::size_t i = 0; i < records.size(); ++i) CHECK(numbers(resumed[i]) == numbers(records[i]));
  CHECK(same_bytes(second.save(), whole.save()));

  whole.finalize();
  for (const engine::ParameterSlot& slot : whole.engine().slots()) {
    if (slot.method == nullptr || slot.method->bits() > 8) continue;
    const std::span<const float> w = whole.engine().used(slot);
    const std::size_t groups = slot.method->scale_count(), size = w.size() / groups;
    for (std::size_t group = 0; group < groups; ++group) {
      const std::span<const float> part = w.subspan(group * size, size);
      CHECK(std::set<float>(part.begin(), part.end()).size() <= std::size_t{1} << slot.method->bits());
    }
  }
}

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
    train_and_resume({fmt::format("gradients={{method: {}, clip: 2.5}}", entry.name)});
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
