// Rules between the sections of a spec.
#include "run/rules.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/error.hpp"
#include "run/json_text.hpp"

namespace qtrain::run {
namespace {

using Json = nlohmann::ordered_json;

ExperimentSpec read(const std::string& text, const std::vector<std::string>& words = {}) {
  spec::Document document = spec::Document::parse(text, "t.yaml", words);
  return read_experiment(document);
}

TEST_CASE("activations are quantized where a model has activation layers") {
  const auto with = [](const std::string& sections, const std::string& quantizer) {
    return fmt::format("{{{}, quantize: {{activations: {{quantizer: {}}}}}}}", sections, quantizer);
  };
  for (const auto& [name, sections] :
       {std::pair("lstm", "dataset: {name: markov_text}, model: {name: lstm, hidden: 4}"),
        {"mlp", "model: {name: mlp, widths: []}"}}) {
    const std::string sentence =
        fmt::format("quantize.activations: has quantizer sign, and {} has no activation layer", name);
    CHECK_THROWS_WITH_AS(read(with(sections, "sign")), doctest::Contains(sentence.c_str()), Error);
    CHECK_NOTHROW(read(with(sections, "none")));
  }
  CHECK_NOTHROW(read(with("model: {name: mlp, widths: [8]}", "sign")));
}

TEST_CASE("latents that are rescaled have no average") {
  const auto with = [](const std::string& method) {
    return fmt::format("{{quantize: {{weights: {{method: {}}}}}, train: {{average_decay: 0.9}}}}", method);
  };
  for (const std::string method : {"md_tanh", "md_softmax"})
    CHECK_THROWS_WITH_AS(read(with(method)), doctest::Contains("average_decay: is 0.9, must be 0"), Error);
  for (const std::string method : {"none", "md_tanh_s", "md_softmax_s", "pmf", "md_tanh, beta_growth: 1"})
    CHECK_NOTHROW(read(with(method)));
}

TEST_CASE("a word that takes the quantizers away leaves nothing of their keys, and the rest reads back") {
  const ExperimentSpec experiment = read(
      "quantize:\n"
      "  activations: {quantizer: quantized_relu, bits: 2, ste: relu, alpha: learned}\n"
      "  gradients: {method: stochastic_linear, bits: 3, clip: 2, biases: true, smallest: 9}\n",
      {"quantize.activations.quantizer=none", "quantize.gradients.method=none"});
  CHECK(experiment.resolved == read("{}").resolved);
  const std::string text = compact_text(experiment.resolved);
  CHECK(compact_text(read(text).resolved) == text);
  CHECK_THROWS_WITH_AS(read("{}", {"quantize.activations.bits=2"}),
                       doctest::Contains("quantize.activations.bits: is 2, but no activation is quantized"),
                       Error);
}

TEST_CASE("a word that takes the quantizers away takes them from stages too") {
  const std::string text =
      "quantize: {activations: {quantizer: pact}}\n"
      "stages: [{quantize: {activations: {bits: 5}}}, {quantize: {activations: {bits: 3}}}]\n";
  for (const StageSpec& stage : read(text, {"quantize.activations.quantizer=none"}).stages)
    CHECK_FALSE(stage.activations.make);
  CHECK(read(text, {"quantize.activations.quantizer=dorefa"}).stages[1].activations.bits == 3);
}

TEST_CASE("a word that some stages replace is read, with a warning") {
  const std::string text = "train: {epochs: 3}\nstages: [{train: {epochs: 1}}, {}]\n";
  const ExperimentSpec experiment = read(text, {"train.epochs=9"});
  CHECK(experiment.stages[0].train.epochs == 1);
  CHECK(experiment.stages[1].train.epochs == 9);
  REQUIRE(experiment.warnings.size() == 1);
  CHECK(experiment.warnings[0].ends_with("where it should, set stages.0.train.epochs too"));
  CHECK(read(text).warnings.empty());
}

}  // namespace
}  // namespace qtrain::run
