// The engine against PyTorch: ten SGD steps of two nets, made by tests/golden/make_golden.py, which states
// the formulas.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "read_spec.hpp"
#include "train/updater.hpp"

namespace qtrain::train {
namespace {

using nlohmann::json;

std::uint32_t hash(std::uint32_t stream, std::uint32_t i) {
  std::uint32_t x = i * 0x9E3779B1u + stream * 0x85EBCA77u;
  x ^= x >> 16;
  x *= 0x85EBCA6Bu;
  x ^= x >> 13;
  x *= 0xC2B2AE35u;
  return x ^ (x >> 16);
}

float value(std::uint32_t stream, std::size_t i) {
  const auto high = static_cast<int>(hash(stream, static_cast<std::uint32_t>(i)) >> 16);
  return static_cast<float>(2 * high - 65535) / 65536.0f;
}

struct Batch {
  std::vector<float> images;
  std::vector<std::int32_t> labels;
  Batch(const json& golden, std::uint32_t t) {
    const auto salt = golden["salt"].get<std::uint32_t>();
    const auto count = golden["batch"].get<std::size_t>();
    const auto size = element_count(golden["input"].get<Shape>());
    for (std::size_t n = 0; n < count; ++n) {
      const std::uint32_t label =
          hash(salt + 3000 + t, static_cast<std::uint32_t>(n)) % golden["classes"].get<std::uint32_t>();
      labels.push_back(static_cast<std::int32_t>(label));
      for (std::size_t j = 0; j < size; ++j)
        images.push_back((value(salt + 2000 + t, n * size + j) + value(salt + 1000 + label, j)) / 2);
    }
  }
};

/// Norm and five elements of a tensor against a row of the file, 1e-4 relative to the tensor's scale.
void compare(const json& row, std::span<const float> x) {
  const double norm = row["norm"];
  double squares = 0;
  for (const float v : x) squares += static_cast<double>(v) * v;
  INFO(row["name"].get<std::string>());
  if (norm < 1e-9) {  // a bias before batch norm: rounding and nothing else in PyTorch
    CHECK(std::sqrt(squares) < 1e-5);
    return;
  }
  CHECK(std::sqrt(squares) == doctest::Approx(norm).epsilon(1e-4));
  const double typical = norm / std::sqrt(static_cast<double>(x.size()));
  for (std::size_t j = 0; j < 5; ++j) {
    const double expected = row["elements"][j];
    CHECK(std::abs(static_cast<double>(x[j * (x.size() - 1) / 4]) - expected) <=
          1e-4 * std::max(std::abs(expected), typical));
  }
}

struct Golden {
  json file;
  model::Graph graph;
  engine::Quantization quantization;

  Golden(const std::string& name, const std::string& activations)
      : file(json::parse(read_whole(std::string(QTRAIN_SOURCE_DIR) + "/tests/golden/" + name + ".json"))) {
    spec::Document document = spec::Document::parse(file["model"].dump(), name);
    model::ModelSpec model;
    graph = model.read(document.root(), file["input"], file["classes"]);
    document.diagnostics().throw_if_any();
    const auto quantizer = read_spec<quant::ActivationSpec>(activations);
    quantization.activations = quantizer.make;
    quantization.ste = quantizer.make_ste;
    const auto binary = read_spec<quant::WeightSpec>("{method: binary_connect}");
    for (const auto& parameter : file["parameters"])
      quantization.weights.push_back(parameter["binary"] ? binary.make : quant::WeightFactory());
  }

  void fill(engine::Engine& engine) const {
    const auto salt = file["salt"].get<std::uint32_t>();
    for (std::uint32_t p = 0; p < file["parameters"].size(); ++p) {
      const json& parameter = file["parameters"][p];
      const auto& slot = engine.slots()[p];
      REQUIRE(slot.name == parameter["name"].get<std::string>());
      for (std::size_t i = 0; i < slot.size; ++i)
        engine.latents()[slot.offset + i] =
            parameter["offset"].get<float>() + parameter["scale"].get<float>() * value(salt + p, i);
    }
  }
};

void compare_all(const json& rows, engine::Engine& engine, std::span<const float> flat) {
  for (std::size_t p = 0; p < rows.size(); ++p) {
    const auto& slot = engine.slots()[p];
    compare(rows[p], flat.subspan(slot.offset, slot.size));
  }
}

void check_golden(const std::string& name, const std::string& activations) {
  const Golden golden(name, activations);
  const json& file = golden.file;
  const int batch = file["batch"];
  engine::Engine engine(golden.graph, golden.quantization, {}, {.threads = 2, .shard = 8, .batch = batch});
  golden.fill(engine);
  const auto optimizer = read_spec<optim::OptimizerSpec>(
      "{name: sgd, learning_rate: 0.05, momentum: 0.9, weight_decay: 1.0e-4}");
  Updater updater(engine, optimizer);
  for (std::uint32_t t = 0; t < 10; ++t) {
    const Batch data(file, t);
    engine.use_weights({});
    const engine::BatchResult result = engine.train(data.images, data.labels);
    engine.pull_gradients();
    CAPTURE(t);
    CHECK(result.loss / batch == doctest::Approx(file["losses"][t].get<double>()).epsilon(1e-4));
    CHECK(result.correct == file["correct"][t].get<int>());
    const std::string step = std::to_string(t);
    if (file["gradients"].contains(step)) compare_all(file["gradients"][step], engine, engine.gradients());
    updater.step(0.05, t);
    engine.settle({});
  }
  compare_all(file["final"], engine, engine.latents());
  const Batch data(file, 10);
  engine.use_weights({});
  const engine::BatchResult result = engine.evaluate(data.images, data.labels);
  CHECK(result.loss / batch == doctest::Approx(file["evaluation"]["loss"].get<double>()).epsilon(1e-4));
  CHECK(result.correct == file["evaluation"]["correct"].get<int>());
}

TEST_CASE("golden: LeNet-5 with 2-bit activations") {
  check_golden("lenet5", "{quantizer: quantized_relu, bits: 2, ste: clipped_relu}");
}

TEST_CASE("golden: ResNet-20 with binary weights") { check_golden("resnet20", "{quantizer: none}"); }

}  // namespace
}  // namespace qtrain::train
