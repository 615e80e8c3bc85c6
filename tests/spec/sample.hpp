#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spec/reader.hpp"

namespace qtrain::spec {

/// A small experiment with one field of every kind.
struct Sample {
  std::string name = "unnamed";
  int seed = 1;
  std::int64_t samples = 50'000;
  bool flip = true;
  double rate = 0.1;
  double momentum = 0.9;
  std::vector<int> milestones{80, 140};
  std::vector<double> factors{0.1};
  std::vector<std::string> notes;
  std::vector<std::string> skip{"first", "last"};
  std::string method = "none";
  int bits = 4;
  double lambda = 1e-4;

  void read(Reader root) {
    root.field("name", name, "Name of the run.");
    root.field("seed", seed, at_least(0), "Seed of all random streams.");
    root.field("samples", samples, positive, "Samples of an epoch.");
    root.field("notes", notes, "Free remarks.");
    Reader train = root.group("train", "How to train.");
    train.field("flip", flip, "Mirror images at random.");
    train.field("rate", rate, positive, "Learning rate.");
    train.field("momentum", momentum, {.low = 0, .high = 1, .high_open = true},
                "Share of the last step kept.");
    train.field("milestones", milestones, positive, "Epochs at which the rate falls.");
    train.field("factors", factors, any_number, "What it is multiplied by.");
    train.finish();
    Reader weights = root.group("weights", "How weights are quantized.");
    weights.choice("method", method, {"none", "binary_connect", "prox_quant"}, "The method.");
    weights.field("bits", bits, between(1, 8), "Bits a weight.");
    weights.field("lambda", lambda, non_negative, "Strength of the pull.");
    weights.choices("skip", skip, {"first", "last", "shortcut"}, "Layers kept in float.");
    weights.finish();
    root.ignore("stages");
    root.finish();
  }
};

struct Outcome {
  Sample sample;
  std::string mistakes;
  nlohmann::ordered_json resolved;
};

inline Outcome outcome_of(Document document) {
  Outcome outcome;
  outcome.sample.read(document.root());
  outcome.mistakes = document.diagnostics().text();
  outcome.resolved = document.resolved();
  return outcome;
}

inline Outcome read_sample(std::string_view text, const std::vector<std::string>& overrides = {}) {
  return outcome_of(Document::parse(text, "bad.yaml", overrides));
}

inline std::string mistakes_of(std::string_view text, const std::vector<std::string>& overrides = {}) {
  return read_sample(text, overrides).mistakes;
}

}  // namespace qtrain::spec
