// Every weight method, activation quantizer and STE in training, on a small net of generated images.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "base/error.hpp"
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
  const std::vector<NamedTensor> warm = carried_tensors(plain.engine());

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
  second.start_from(carried_tensors(first.engine()), "the stage before");
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

TEST_CASE("steps and levels start anew with other bits or another quantizer, and are kept with the same") {
  const auto with = [](const std::string& weights, const std::string& activations) {
    return Experiment(Words{"weights={" + weights + "}", "activations={" + activations + "}"} + kSmall);
  };
  const std::string relu = "quantizer: quantized_relu, alpha: learned, bits: ";
  const Experiment four = with("method: lsq, bits: 4", relu + "4");
  Trainer first(four.stage(1), four.loaded.dataset);
  first.run_epoch(go_on);
  const auto kept = learned_values(first);
  const std::vector<NamedTensor> carried = first.carried();
  std::vector<NamedTensor> weights = carried;
  std::erase_if(weights, [](const NamedTensor& tensor) { return tensor.name.ends_with("/4bit"); });
  CHECK(weights.size() + kept.size() == carried.size());
  const auto started = [](const Experiment& experiment, const std::vector<NamedTensor>& tensors) {
    Trainer second(experiment.stage(1), experiment.loaded.dataset);
    second.start_from(tensors, "the stage before");
    return learned_values(second);
  };
  CHECK(started(four, carried) == kept);
  CHECK(started(four, weights) != kept);
  for (const Experiment& other :
       {with("method: lsq, bits: 2", relu + "2"), with("method: twn", "quantizer: pact, bits: 4")})
    CHECK(started(other, carried) == started(other, weights));
}

TEST_CASE("a stage goes on from the latents of the one before, and so it does from that one's checkpoint") {
  const auto loss = [](const std::string& method, bool resumed) {
    const Experiment experiment(Words{"weights={method: " + method + "}"} + kSgd);
    Trainer first(experiment.stage(1), experiment.loaded.dataset);
    first.run_epoch(go_on);
    Trainer again(experiment.stage(1), experiment.loaded.dataset);
    if (resumed) again.restore({.tensors = first.save(), .metadata = {}});
    Trainer second(experiment.stage(1), experiment.loaded.dataset);
    second.start_from((resumed ? again : first).carried(), "the stage before");
    return second.run_epoch(go_on)->train_loss;
  };
  for (const std::string method : {"md_softmax_s", "md_softmax", "pmf", "pmf, levels: ternary"}) {
    CAPTURE(method);
    CHECK(loss(method, true) == loss(method, false));
  }
  CHECK(loss("md_softmax_s", false) == doctest::Approx(loss("md_tanh_s", false)).epsilon(1e-4));
  CHECK(loss("md_softmax", false) == doctest::Approx(loss("md_tanh", false)).epsilon(1e-4));
}

bool is_rescaled(const engine::ParameterSlot& slot) {
  return slot.method != nullptr && slot.method->latent_kind() == quant::LatentKind::rescaled;
}

/// The latents of a frozen slot, or where a method rescales them the weights that they make.
std::vector<float> kept_values(engine::Engine& engine, const engine::ParameterSlot& slot) {
  const std::span<const float> values =
      is_rescaled(slot) ? engine.used(slot) : engine.latents().subspan(slot.offset, slot.size);
  return {values.begin(), values.end()};
}

TEST_CASE("frozen weights stay as they are, whatever their method settles") {
  for (const quant::WeightEntry& entry : quant::weight_methods()) {
    CAPTURE(entry.name);
    const Experiment experiment(Words{fmt::format("weights={{method: {}}}", entry.name)} + kAdam);
    Stage stage = experiment.stage(1);
    stage.options.frozen = [](const auto& slot) { return slot.kind == engine::ParameterSlot::Kind::weight; };
    Trainer trainer(std::move(stage), experiment.loaded.dataset);
    engine::Engine& engine = trainer.engine();
    std::vector<std::vector<float>> before;
    for (const engine::ParameterSlot& slot : engine.slots()) before.push_back(kept_values(engine, slot));
    const EpochRecord record = *trainer.run_epoch(go_on);
    if (record.change) CHECK(record.change->sign_changes == 0);
    engine.use_weights({.step = 5, .evaluation = true});
    for (const engine::ParameterSlot& slot : engine.slots()) {
      if (!slot.frozen) continue;
      const std::vector<float>&kept = before[static_cast<std::size_t>(slot.index)],
            after = kept_values(engine, slot);
      if (!is_rescaled(slot)) CHECK_MESSAGE(after == kept, slot.name);
      for (std::size_t i = 0; i < kept.size(); ++i)  // rescaling rounds
        REQUIRE_MESSAGE(std::abs(after[i] - kept[i]) <= 1e-6F * std::abs(kept[i]), slot.name);
    }
  }
}

TEST_CASE("intervals that move change no sign of frozen weights, and every level is counted") {
  const Experiment experiment(Words{"weights={method: qil, bits: 3, interval_rate: 1}"} + kAdam);
  Stage stage = experiment.stage(1);
  stage.options.frozen = [](const auto& slot) { return slot.kind == engine::ParameterSlot::Kind::weight; };
  Trainer trainer(std::move(stage), experiment.loaded.dataset);
  const engine::ParameterSlot& first = trainer.engine().slots().front();
  REQUIRE(first.method != nullptr);
  const auto codes = [&] {
    const std::span<const float> now = trainer.engine().codes(first);
    return std::vector<float>(now.begin(), now.end());
  };
  const std::vector<float> before = codes();
  const EpochRecord record = *trainer.run_epoch(go_on);
  CHECK(codes() != before);
  CHECK(record.change->sign_changes == 0);
  for (const std::vector<std::int64_t>& levels : record.change->layer_levels) CHECK(levels.size() == 7);
}

TEST_CASE("the distance to the quantized weights is that of the used ones where latents are dual") {
  const auto distance = [](const std::string& method) {
    const Experiment experiment(Words{"weights={method: " + method + "}"} + kAdam);
    Trainer trainer(experiment.stage(1), experiment.loaded.dataset);
    return trainer.run_epoch(go_on)->change->quantization_error;
  };
  for (const std::string method : {"gd_tanh", "md_tanh_s", "md_softmax_s"}) {
    CAPTURE(method);
    CHECK(distance(method + ", beta_start: 1.0e9") < 1e-3);
  }
  CHECK(distance("binary_connect") > 1);
}

TEST_CASE("intervals of another net start one that is quantized already") {
  const auto trained = [](const std::string& method) {
    const Experiment experiment(Words{"weights={method: " + method + "}"} + kAdam);
    Trainer trainer(experiment.stage(1), experiment.loaded.dataset);
    trainer.run_epoch(go_on);
    trainer.finalize();
    return used_tensors(trainer.engine());
  };
  const Experiment experiment(Words{"weights={method: lsq}"} + kAdam);
  Trainer trainer(experiment.stage(1), experiment.loaded.dataset);
  std::vector<NamedTensor> tensors = trained("twn");
  take_quantizers(tensors, trainer.engine(), trained("lsq"), "the other net");
  CHECK_NOTHROW(trainer.start_from(tensors, "both"));
}

TEST_CASE("final weights start a net of their own quantizer only if it maps them to themselves") {
  for (const auto& [method, fits] : {std::pair("lsq", true), {"ttq", true}, {"qil, reach: 0.3", false}}) {
    CAPTURE(method);
    const Experiment experiment(Words{fmt::format("weights={{method: {}}}", method)} + kAdam);
    Trainer first(experiment.stage(1), experiment.loaded.dataset);
    first.run_epoch(go_on);
    first.finalize();
    Trainer second(experiment.stage(1), experiment.loaded.dataset);
    const auto start = [&] { second.start_from(used_tensors(first.engine()), "final.safetensors"); };
    if (fits)
      CHECK_NOTHROW(start());
    else
      CHECK_THROWS_WITH_AS(start(), doctest::Contains("name the checkpoint.safetensors of that run"), Error);
  }
}

}  // namespace qtrain::train
