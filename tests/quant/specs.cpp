// Mistakes in `quantize.weights` and `quantize.activations`, and their defaults.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "quant/activation.hpp"
#include "quant/weight_method.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("weight spec: defaults and mistakes") {
  const auto spec = read_spec<WeightSpec>("{}");
  CHECK(spec.method == "none");
  CHECK(spec.make({"w", {4, 4}})->bits() == 32);

  const std::string misspelt = mistakes_of<WeightSpec>("method: binary_conect");
  CHECK(contains(misspelt, "test.yaml:1:9: method:"));
  CHECK(contains(misspelt, "did you mean 'binary_connect'"));
  CHECK(contains(mistakes_of<WeightSpec>("{method: binary_connect, bits: 2}"), "test.yaml:1:26: bits:"));
}

TEST_CASE("activation spec: `none` makes no quantizer, and its other keys have their defaults alone") {
  const auto spec = read_spec<ActivationSpec>("{quantizer: none, bits: 4, ste: clipped_relu}");  // resolved
  CHECK_FALSE(spec.make);
  CHECK_FALSE(spec.make_ste);
  for (const std::string quantizer : {"", "quantizer: none, "}) {
    const std::string mistakes = mistakes_of<ActivationSpec>("{" + quantizer + "bits: 3, ste: relu}");
    CHECK(contains(mistakes, "bits: is 3, but no activation is quantized: must be 4"));
    CHECK(contains(mistakes, "ste: is relu, but no activation is quantized: must be clipped_relu"));
  }
  CHECK_FALSE(contains(mistakes_of<ActivationSpec>("{quantizer: paact, bits: 3}"), "bits"));
  CHECK(contains(mistakes_of<ActivationSpec>("{quantizer: none, bits: 9}"),
                 "bits: is 9, must be an integer in [1, 8]"));
  CHECK(contains(mistakes_of<ActivationSpec>("{alpha: learned}"), "alpha: unknown key"));
}

TEST_CASE("activation spec: all mistakes at once, with suggestions") {
  const std::string mistakes = mistakes_of<ActivationSpec>(
      "quantizer: quantized_relu\nbits: 0\nste: cliped_relu\nalpha: lerned\nalpha_fit: median\nalpha_rate: "
      "0\n");
  CHECK(contains(mistakes, "test.yaml:2:7: bits: is 0, must be an integer in [1, 8]"));
  CHECK(contains(mistakes, "did you mean 'clipped_relu'"));
  CHECK(contains(mistakes, "did you mean 'learned'"));
  CHECK(contains(mistakes, "alpha_fit: "));
  CHECK(contains(mistakes, "alpha_rate: is 0, must be a number > 0"));
  CHECK(contains(mistakes_of<ActivationSpec>("quantizer: quantised_relu"), "did you mean 'quantized_relu'"));
}

TEST_CASE("activation spec: a step too small to divide by is a mistake") {
  CHECK(contains(mistakes_of<ActivationSpec>("{quantizer: quantized_relu, alpha_value: 1.0e-9}"),
                 "alpha_value: is 1e-09"));
  CHECK(contains(mistakes_of<ActivationSpec>("{quantizer: quantized_relu, alpha_value: 6}"),
                 "alpha_value: is 6"));
  CHECK(mistakes_of<ActivationSpec>("{quantizer: quantized_relu, alpha_value: 0.001}").empty());
}

TEST_CASE("spec: keys of a method that is misspelt are no mistakes of their own") {
  CHECK(mistakes_of<WeightSpec>("{method: dorefo, bits: 2}").find("bits") == std::string::npos);
  CHECK(mistakes_of<ActivationSpec>("{quantizer: paact, initial: 2}").find("initial") == std::string::npos);
}

TEST_CASE("activation spec: an STE that does not fit is refused with those that do") {
  const auto mistakes = [](const std::string& quantizer, const std::string& ste) {
    return mistakes_of<ActivationSpec>("{quantizer: " + quantizer + ", ste: " + ste + "}");
  };
  for (const char* quantizer : {"quantized_relu", "hwgq", "dorefa", "pact"})
    CHECK(contains(mistakes(quantizer, "hard_tanh"),
                   "needs identity, relu, clipped_relu, reverse_exponential or log_tailed_relu"));
  CHECK(contains(mistakes("sign", "relu"), "needs identity, hard_tanh, approx_sign or swish_sign"));
  for (const char* quantizer : {"lsq", "qil"})
    CHECK(contains(mistakes(quantizer, "relu"), "needs identity or clipped_relu"));
}

TEST_CASE("prox spec: keys without meaning for the levels are mistakes") {
  for (const char* method : {"prox_quant", "lazy_prox"}) {
    const auto mistakes = [&](const std::string& keys) {
      return mistakes_of<WeightSpec>(std::string("{method: ") + method + ", " + keys + "}");
    };
    for (const char* good :
         {"levels: ternary", "levels: ternary, regularizer: l2, convention: twice, rounds: 1",
          "levels: multi_bit, bits: 3, rounds: 1", "regularizer: l2, convention: twice", "regularizer: l1"})
      CHECK_MESSAGE(mistakes(good) == "", good);
    CHECK(contains(mistakes("levels: ternary, regularizer: l1"),
                   "regularizer: is l1, must be l2 with levels ternary"));
    CHECK(contains(mistakes("levels: multi_bit, regularizer: l1"), "regularizer: is l1"));
    CHECK(contains(mistakes("bits: 3"), "bits: is 3, must be left out with levels binary"));
    CHECK(contains(mistakes("bits: 2"), "bits: is 2, must be left out with levels binary"));
    CHECK(contains(mistakes("levels: ternary, bits: 1"), "bits: is 1"));
    CHECK(contains(mistakes("rounds: 1"), "rounds: is 1"));
    CHECK(contains(mistakes("convention: twice"), "convention: is twice"));
  }
}

TEST_CASE("weight and activation specs: keys without meaning beside others are mistakes") {
  for (const auto& [spec, mistake] : {std::pair("binary_relax, mean_over: all", "mean_over: is all"),
                                      {"dorefa, bits: 1, max_gradient: exact", "max_gradient: is exact"},
                                      {"laq, bits: 2, solver: exact, alpha_step: code", "solver: is exact"},
                                      {"laq, bits: 2, solver: exact, iterations: 3", "solver: is exact"},
                                      {"laq, bits: 2, solver: exact, tolerance: 0", "solver: is exact"}})
    CHECK_MESSAGE(contains(mistakes_of<WeightSpec>(std::string("{method: ") + spec + "}"), mistake), spec);
  for (const char* good : {"binary_relax, levels: ternary, mean_over: all", "dorefa, max_gradient: exact",
                           "laq, bits: 2, solver: exact, iterations: 10", "laq, alpha_step: code"})
    CHECK_MESSAGE(mistakes_of<WeightSpec>(std::string("{method: ") + good + "}") == "", good);
  for (const char* key : {"alpha_gradient: ae", "alpha_rate: 0.5", "alpha_value: 0.5, alpha_fit: ceil"}) {
    const std::string spec = std::string("{quantizer: quantized_relu, ") + key;
    const std::string mistakes = mistakes_of<ActivationSpec>(spec + "}");
    const bool named =
        contains(mistakes, "with alpha fixed") || contains(mistakes, "alpha_value is the step");
    CHECK_MESSAGE(named, key);
  }
  CHECK(mistakes_of<ActivationSpec>(
            "{quantizer: quantized_relu, alpha: learned, alpha_gradient: ae, alpha_rate: 0.5}") == "");
}

TEST_CASE("prox spec: resolved, the levels' own regularizer stands in it, and it reads back") {
  for (const auto& [levels, regularizer] :
       {std::pair("binary", "l1"), {"ternary", "l2"}, {"multi_bit", "l2"}}) {
    spec::Document document =
        spec::Document::parse(std::string("{method: prox_quant, levels: ") + levels + "}", "test.yaml");
    WeightSpec().read(document.root());
    CHECK(document.resolved()["regularizer"] == regularizer);
    CHECK(mistakes_of<WeightSpec>(document.resolved().dump()) == "");
  }
}

}  // namespace qtrain::quant
