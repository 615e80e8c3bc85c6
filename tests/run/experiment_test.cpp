#include "run/experiment.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/error.hpp"
#include "run/json_text.hpp"
#include "run/run.hpp"
#include "train/updater.hpp"

namespace qtrain::run {
namespace {

using Json = nlohmann::ordered_json;

ExperimentSpec read(const std::string& text, const std::vector<std::string>& overrides = {}) {
  spec::Document document = spec::Document::parse(text, "t.yaml", overrides);
  return read_experiment(document);
}

std::string mistakes(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    read(text, overrides);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    return error.what();
  }
  return "";
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_CASE("every section reports its mistakes, all at once and with their places") {
  const std::string all = mistakes(
      "name: 'a/b'\n"
      "sed: 3\n"
      "dataset: {name: shapes11, batch_size: 0}\n"
      "model: {name: resnet21}\n"
      "quantize:\n"
      "  weights: {method: binary_conect}\n"
      "  activations: {quantizer: quantized_relu, bits: 12}\n"
      "  gradients: {method: qsdg}\n"
      "  skip: [frist]\n"
      "train:\n"
      "  epochs: -1\n"
      "  loss: hinge\n"
      "  optimizer: {learning_rate: -0.1}\n"
      "  schedule: {name: cosin}\n"
      "engine: {precision: bf16, low_bit: int4}\n"
      "workers: {count: 0}\n"
      "expect: {tolerance: 0.1}\n");
  for (const char* place :
       {"t.yaml:1:7: name: is 'a/b'", "t.yaml:2:1: sed: unknown key, did you mean 'seed'?",
        "t.yaml:3:17: dataset.name:", "t.yaml:3:39: dataset.batch_size: is 0",
        "t.yaml:4:15: model.name:", "t.yaml:6:21: quantize.weights.method:", "did you mean 'binary_connect'?",
        "t.yaml:7:50: quantize.activations.bits: is 12", "t.yaml:8:23: quantize.gradients.method:",
        "t.yaml:9:9: quantize.skip: holds 'frist'", "t.yaml:11:11: train.epochs: is -1",
        "t.yaml:12:9: train.loss:", "t.yaml:13:30: train.optimizer.learning_rate:",
        "t.yaml:14:20: train.schedule.name:", "t.yaml:15:21: engine.precision:",
        "t.yaml:15:36: engine.low_bit:", "t.yaml:16:18: workers.count: is 0",
        "t.yaml:17:9: expect.val_accuracy: is missing"})
    CHECK_MESSAGE(holds(all, place), place << " not in\n" << all);
}

TEST_CASE("rules between keys") {
  CHECK(
      holds(mistakes("{}", {"train.loss=squared_hinge", "train.label_smoothing=0.1"}), "only cross_entropy"));
  CHECK(holds(mistakes("{}", {"dataset.batch_size=500", "dataset.limit.train=400"}), "at most the 400"));
  CHECK(holds(mistakes("{}", {"dataset.name=mnist", "dataset.if_missing=shapes10"}),
              "must have the images of mnist"));
  CHECK(mistakes("{}", {"dataset.name=cifar10", "dataset.if_missing=shapes10"}).empty());
  CHECK(holds(mistakes("{}", {"train.epochs=3", "train.schedule.warmup_epochs=4"}),
              "at least schedule.warmup_epochs"));
  CHECK(holds(mistakes("{}", {"seeds=[1, 2, 1]"}), "distinct"));
}

TEST_CASE("a word that names another method keeps what both have, and the rest is no mistake") {
  const std::string text =
      "quantize: {weights: {method: laq, bits: 3, solver: approximate}, activations: {quantizer: "
      "quantized_relu, bits: 2, alpha: learned}}\n"
      "train: {optimizer: {name: rms_prop, learning_rate: 0.5, decay: 0.5}}\n"
      "dataset: {name: cifar10, batch_size: 10}\n";
  const ExperimentSpec experiment =
      read(text, {"quantize.weights.method=lsq", "quantize.activations.quantizer=pact",
                  "train.optimizer.name=sgd", "dataset.name=shapes10"});
  const Json& resolved = experiment.resolved;
  CHECK(resolved["quantize"]["weights"] == Json{{"method", "lsq"}, {"bits", 3}, {"step_rate", 1.0}});
  CHECK(resolved["quantize"]["activations"]["bits"] == 2);
  CHECK(resolved["train"]["optimizer"]["learning_rate"] == 0.5);
  CHECK(resolved["dataset"]["batch_size"] == 10);
  CHECK(holds(mistakes(text, {"quantize.activations.quantizer=sign"}),
              "t.yaml:1:113: quantize.activations.bits: is 2, must be 1"));
  CHECK(holds(mistakes(text, {"quantize.weights.method=lsq", "quantize.weights.solver=exact"}),
              "override 'quantize.weights.solver=exact': quantize.weights.solver: unknown key"));
  CHECK(mistakes("{dataset: {augment: {flip: true}}, model: {name: resnet20, shortcut: conv}}",
                 {"dataset.name=markov_text", "model.name=lstm"})
            .empty());
}

TEST_CASE("a word that every stage replaces is a mistake") {
  const std::string text = "train: {epochs: 3}\nstages: [{train: {epochs: 1}}, {train: {epochs: 2}}]\n";
  CHECK(mistakes(text, {"train.epochs=9"}) ==
        "override 'train.epochs=9': train.epochs: is replaced by each of stages: set stages.0.train.epochs, "
        "stages.1.train.epochs");
  CHECK(mistakes(text, {"train.loss=squared_hinge", "stages.1.train.epochs=9"}).empty());
}

TEST_CASE("seeds are numbers that a double holds exactly") {
  CHECK(read("{seed: 9007199254740992}").seed == 9007199254740992);
  CHECK(holds(mistakes("{seed: 9007199254740993}"), "must be an integer in [0, 9007199254740992]"));
  CHECK(read("{seeds: [1, 9007199254740992]}").seeds == std::vector<std::int64_t>{1, 9007199254740992});
  CHECK(holds(mistakes("{seeds: [9007199254740993]}"), "must be an integer in [0, 9007199254740992]"));
}

TEST_CASE("a model that the images do not fit is a mistake with a place") {
  const std::string all = mistakes("dataset: {name: mnist}\nmodel:\n  name: vgg11\nsed: 1\n");
  CHECK(holds(all, "t.yaml:3:9: model.name: layer pool5 of vgg11: its 2x2 window does not fit"));
  CHECK(holds(all, "t.yaml:4:1: sed: unknown key"));
}

TEST_CASE("gradients quantized in the backward pass do not reach an lstm's recurrent weights") {
  const std::string text =
      "{dataset: {name: markov_text}, model: {name: lstm, hidden: 4}, quantize: {gradients: {method: %}}}";
  const auto with = [&](const std::string& method) {
    std::string whole = text;
    return mistakes(whole.replace(whole.find('%'), 1, method));
  };
  CHECK(holds(with("dorefa"), "quantize.gradients: has method dorefa"));
  CHECK(holds(with("dorefa"), "lstm layers"));
  CHECK(with("terngrad").empty());
  CHECK(mistakes("{quantize: {gradients: {method: dorefa}}}").empty());
}

TEST_CASE("a method that remembers the error of a step needs an optimizer that makes it") {
  const auto with = [](const std::string& method, const std::string& optimizer) {
    return mistakes(fmt::format("{{quantize: {{gradients: {{method: {}}}}}, train: {{optimizer: {{{}}}}}}}",
                                method, optimizer));
  };
  CHECK(with("ef_sign_sgd", "name: sgd, momentum: 0, weight_decay: 0.1").empty());
  for (const char* other : {"name: adam", "name: rms_prop", "momentum: 0.9", "momentum: 0, clip_norm: 1",
                            "momentum: 0, clip_value: 1"}) {
    CHECK_MESSAGE(holds(with("ef_sign_sgd", other), "quantize.gradients: has method ef_sign_sgd"), other);
    CHECK_MESSAGE(with("sign_sgd", other).empty(), other);
  }
}

TEST_CASE("words and what they mean: losses, precisions, paths") {
  for (const auto& [word, kind] : {std::pair("cross_entropy", engine::LossKind::cross_entropy),
                                   {"squared_error", engine::LossKind::squared_error},
                                   {"multiclass_hinge", engine::LossKind::multiclass_hinge},
                                   {"squared_hinge", engine::LossKind::squared_hinge}})
    CHECK(training_stage(read("{}", {std::string("train.loss=") + word}).stages[0], 1).loss.kind == kind);
  for (const auto& [word, path] : {std::pair("auto", engine::LowBit::automatic),
                                   {"off", engine::LowBit::off},
                                   {"int8", engine::LowBit::int8},
                                   {"bitwise", engine::LowBit::bitwise}})
    CHECK(training_stage(read("{}", {std::string("engine.low_bit=") + word}).stages[0], 1).options.low_bit ==
          path);
}

TEST_CASE("a text: the model's input, its stand-in, workers and stages") {
  const ExperimentSpec experiment = read(
      "{dataset: {name: war_and_peace, sequence: 50, if_missing: markov_text}, model: {name: lstm, hidden: "
      "4}}");
  const model::Graph& graph = experiment.stages[0].graph;
  CHECK(graph.input == Shape{50});
  CHECK(graph.classes == 87);  // also when the stand-in, of fewer, is read
  CHECK(experiment.resolved["dataset"]["evaluate"] == "validation");
  CHECK_FALSE(experiment.resolved["dataset"].contains("augment"));
  const std::string base =
      "{dataset: {name: markov_text, limit: {train: 1000}, batch_size: 5, sequence: 50}, "
      "model: {name: lstm, hidden: 4}";
  CHECK(mistakes(base + "}", {"workers.count=3", "workers.batch=each"}).empty());
  CHECK(
      holds(mistakes(base + "}", {"workers.count=4", "workers.batch=each"}),
            "batch_size: is 5 lanes of 50 tokens for each of 4 workers, more than the 1000 training tokens"));
  CHECK(holds(mistakes(base + ", stages: [{}, {dataset: {sequence: 20}}]}"), "changes sequence"));
  CHECK(holds(mistakes(base + ", stages: [{dataset: {evaluate: test}}]}"), "changes evaluate"));
  CHECK(holds(mistakes("{dataset: {name: markov_text}}"), "model of text"));
}

TEST_CASE("the model's input is what the data set's section makes of its images") {
  const ExperimentSpec experiment =
      read("{dataset: {augment: {crop: 24, crop_padding: 4}}, model: {name: cifarnet}}");
  CHECK(experiment.stages[0].graph.input == Shape{3, 24, 24});
  CHECK(read("{model: {name: cifarnet}}").stages[0].graph.input == Shape{3, 32, 32});
}

TEST_CASE("the resolved spec reads back to itself and leaves out what changes no result") {
  const ExperimentSpec experiment = read("name: a\ndataset: {root: /somewhere}\n",
                                         {"engine.threads=3", "train.epochs=7", "expect.val_accuracy=0.5"});
  CHECK(experiment.resolved["train"]["epochs"] == 7);
  CHECK_FALSE(experiment.resolved["engine"].contains("threads"));
  CHECK_FALSE(experiment.resolved["engine"].contains("low_bit"));
  CHECK_FALSE(experiment.resolved["dataset"].contains("root"));
  const std::string text = compact_text(experiment.resolved);
  CHECK(compact_text(read(text).resolved) == text);
}

TEST_CASE("what is expected: one of accuracy, perplexity and loss, perplexity of language models alone") {
  const auto expectation = [](const std::string& keys) { return *read("expect: " + keys).expect; };
  CHECK(expectation("{val_accuracy: 0.5}").metric == "val_accuracy");
  CHECK(expectation("{val_accuracy: 0.5}").value == 0.5);
  CHECK(expectation("{val_loss: 1.25, tolerance: 0.02}").metric == "val_loss");
  const Json resolved = read("expect: {val_loss: 1.25}").resolved["expect"];
  CHECK(resolved["val_loss"] == 1.25);
  CHECK_FALSE(resolved.contains("val_accuracy"));
  CHECK_FALSE(resolved.contains("val_perplexity"));
  CHECK(holds(mistakes("expect: {val_accuracy: 0.5, val_loss: 1}"),
              "t.yaml:1:39: expect.val_loss: stands beside val_accuracy"));
  CHECK(holds(mistakes("expect: {val_perplexity: 92.5}"),
              "t.yaml:1:26: expect.val_perplexity: is of language models, which resnet20 is not"));
  CHECK(holds(mistakes("expect: {val_perplexity: 0.5}"), "expect.val_perplexity: is 0.5"));
  CHECK(holds(mistakes("dataset: {held_out: 50}\nexpect: {val_loss: 1}"),
              "expect.val_loss: is of training images"));
  CHECK(holds(mistakes("dataset: {held_out: 50}\nexpect: {val_perplexity: 2}"), "must be test_accuracy"));
  CHECK(holds(mistakes("dataset: {batch_size: 8, limit: {train: 20}, held_out: 15}"),
              "is 8, must be at most the 5 training images that are not held out"));
  CHECK(holds(mistakes("dataset: {held_out: 50}\nstages:\n- dataset: {held_out: 60}\n"), "changes held_out"));
  CHECK(holds(mistakes("expect: {test_accuracy: 0.5}"), "expect.test_accuracy: needs images held out"));
  CHECK(holds(mistakes("dataset: {held_out: 50}\nexpect: {val_accuracy: 0.5}"),
              "expect.val_accuracy: is of training images with dataset.held_out: must be test_accuracy"));
  CHECK(read("dataset: {held_out: 50}\nexpect: {test_accuracy: 0.5}").expect->metric == "test_accuracy");
  CHECK(expectation("{val_accuracy: 0.5}").reached_key() == "quantized_val_accuracy");
  CHECK(expectation("{val_accuracy: 0.5, weights: training}").reached_key() == "val_accuracy");
  CHECK(holds(mistakes("expect: {val_loss: -1}"), "expect.val_loss: is -1"));
  CHECK(holds(mistakes("expect: {source: x}"), "expect.val_accuracy: is missing"));
}

TEST_CASE("the hash follows what decides the numbers, and only that") {
  const auto hash = [](const std::vector<std::string>& overrides) {
    return spec_hash(read("{}", overrides).resolved);
  };
  const std::string base = hash({});
  CHECK(base.size() == 8);
  for (const char* same :
       {"name=other", "seed=9", "seeds=[4, 5]", "engine.threads=7", "expect.val_accuracy=0.3"})
    CHECK_MESSAGE(hash({same}) == base, same);
  for (const char* other : {"train.epochs=3", "engine.shard=4", "engine.precision=bfloat16",
                            "quantize.skip=[first]", "dataset.shuffle=false"})
    CHECK_MESSAGE(hash({other}) != base, other);
}

TEST_CASE("the precision reaches the engine and stays in the resolved spec") {
  for (const auto& [word, precision] : {std::pair("float32", engine::Precision::float32),
                                        std::pair("bfloat16", engine::Precision::bfloat16)}) {
    const ExperimentSpec experiment = read("{}", {std::string("engine.precision=") + word});
    CHECK(experiment.resolved["engine"]["precision"] == word);
    CHECK(training_stage(experiment.stages[0], 1).options.precision == precision);
  }
}

TEST_CASE("shards are of 8 images, or equal parts of the batch where no layer is a convolution") {
  const auto shard = [](const std::string& text) {
    const ExperimentSpec experiment = read(text);
    CHECK(experiment.resolved["engine"]["shard"] == experiment.stages[0].engine.shard);
    return training_stage(experiment.stages[0], 1).options.shard;
  };
  CHECK(shard("{model: {name: resnet20}, dataset: {batch_size: 100}}") == 8);
  CHECK(shard("{model: {name: lenet5}, dataset: {name: mnist, batch_size: 4}}") == 8);
  for (const auto& [batch, images] : {std::pair(1, 1), {2, 1}, {20, 10}, {64, 32}, {65, 22}, {100, 25}})
    CHECK(shard(fmt::format("{{model: {{name: mlp}}, dataset: {{batch_size: {}}}}}", batch)) == images);
  const std::string text = "{model: {name: lstm}, dataset: {name: war_and_peace, batch_size: 50}";
  CHECK(shard(text + "}") == 25);
  CHECK(shard(text + ", engine: {shard: 7}}") == 7);
  CHECK(shard(text + ", workers: {count: 5}}") == 25);  // another number of workers goes on with a run
}

TEST_CASE("stages share the precision, not the batch nor the shard") {
  const char* text =
      "{model: {name: mlp}, dataset: {batch_size: 64}, stages: [{dataset: {batch_size: 100}}, {%}]}";
  const auto with = [text](const char* last) {
    std::string whole = text;
    return whole.replace(whole.find('%'), 1, last);
  };
  const ExperimentSpec experiment = read(with("engine: {shard: 5}"));
  CHECK(experiment.stages[0].engine.shard == 25);
  CHECK(experiment.stages[1].engine.shard == 5);
  CHECK(holds(mistakes(with("engine: {precision: bfloat16}")),
              "engine: changes precision, must be the same in every stage"));
}

TEST_CASE("differing keys are named by path") {
  const Json a = Json::parse(R"({"x": {"y": 1, "z": [1, 2]}, "w": 3})");
  const Json b = Json::parse(R"({"x": {"y": 1.0, "z": [1, 5]}, "v": {"u": 0, "t": {}}})");
  CHECK(differing_keys(a, a).empty());
  CHECK(differing_keys(a, b) == std::vector<std::string>{"x.z", "w", "v.u"});
}

TEST_CASE("skip takes first, last, shortcuts and patterns, of weights and biases") {
  const ExperimentSpec experiment = read("{model: {name: resnet20}}");
  const model::Graph& graph = experiment.stages[0].graph;
  const std::vector<model::Parameter> parameters = model::parameters(graph);
  std::vector<std::string> unmatched;
  const auto names = [&](const std::vector<std::string>& skip) {
    std::vector<std::string> result;
    const std::vector<bool> flags = skipped_weights(graph, skip, unmatched);
    for (std::size_t i = 0; i < flags.size(); ++i)
      if (flags[i]) result.push_back(parameters[i].name);
    return result;
  };
  CHECK(names({"first", "last"}) == std::vector<std::string>{"stem.conv.weight", "fc.weight", "fc.bias"});
  CHECK(names({"stage2.block1.*"}) ==
        std::vector<std::string>{"stage2.block1.conv1.weight", "stage2.block1.conv2.weight"});
  CHECK(names({"*"}).size() == 21);
  CHECK(names({"fc"}) == std::vector<std::string>{"fc.weight", "fc.bias"});
  CHECK(names({"fc.bias"}) == std::vector<std::string>{"fc.bias"});
  CHECK(names({"shortcuts"}).empty());
  CHECK(unmatched.empty());
  CHECK(names({"fcc"}).empty());
  CHECK(unmatched == std::vector<std::string>{"fcc"});
}

TEST_CASE("skip: shortcuts are the convolutions of shortcuts, where there are any") {
  const ExperimentSpec experiment = read("{model: {name: resnet20, shortcut: conv}}");
  std::vector<std::string> unmatched;
  const std::vector<bool> flags = skipped_weights(experiment.stages[0].graph, {"shortcuts"}, unmatched);
  CHECK(std::ranges::count(flags, true) == 2);
}

TEST_CASE("biases are quantized when asked for, and not where skipped") {
  const auto count = [](const std::string& keys) {
    const ExperimentSpec experiment =
        read("{model: {name: lenet5}, dataset: {name: mnist}, quantize: {weights: {method: binary_connect}" +
             keys + "}}");
    const train::Stage stage = training_stage(experiment.stages[0], 1);
    return std::ranges::count_if(stage.quantization.weights, [](const auto& make) { return bool(make); });
  };
  const auto weights = count("");
  CHECK(count(", biases: true") > weights);
  CHECK(count(", biases: true, skip: ['*.bias']") == weights);
}

TEST_CASE("a method that weighs by the second moment needs an optimizer that keeps one") {
  const auto spec = [](const char* method, const char* optimizer) {
    return fmt::format("{{quantize: {{weights: {{method: {}}}}}, train: {{optimizer: {{name: {}}}}}}}",
                       method, optimizer);
  };
  CHECK_THROWS_WITH_AS(read(spec("lab", "sgd")), doctest::Contains("quantize.weights: has method lab"),
                       Error);
  for (const char* optimizer : {"adam", "rms_prop"}) CHECK_NOTHROW(read(spec("laq", optimizer)));
  CHECK_NOTHROW(read(spec("lab, curvature: accumulator", "sgd")));
}

TEST_CASE("freeze takes kinds of parameters and patterns") {
  using engine::ParameterSlot;
  ParameterSlot weight, alpha;
  weight.name = "fc.weight";
  weight.kind = ParameterSlot::Kind::weight;
  alpha.name = "act.alpha";
  alpha.kind = ParameterSlot::Kind::learned;
  CHECK(is_named({"biases", "weights"}, weight));
  CHECK_FALSE(is_named({"weights", "biases", "batch_norm"}, alpha));
  CHECK(is_named({"quantizers"}, alpha));
  CHECK(is_named({"fc.*"}, weight));
  CHECK_THROWS_WITH_AS(read("{train: {freeze: [wieghts]}}"), doctest::Contains("freeze: holds 'wieghts'"),
                       Error);
  CHECK(training_stage(read("{train: {freeze: [weights]}}").stages[0], 1).optimizer != nullptr);
}

TEST_CASE("decay_only takes kinds of parameters and patterns") {
  const ExperimentSpec experiment = read(
      "{model: {name: cifarnet}, train: {optimizer: {weight_decay: 0.004, decay_only: [fc3.weight, "
      "fc4.*]}}}");
  const train::Stage stage = training_stage(experiment.stages[0], 1);
  engine::Engine engine(*stage.graph, stage.quantization, stage.loss, stage.options);
  std::vector<std::string> decaying;
  for (const engine::ParameterSlot& slot : engine.slots()) {
    const double decay = train::weight_decay(slot, *stage.optimizer, stage.decays);
    CHECK((decay == 0 || decay == 0.004));
    if (decay > 0) decaying.push_back(slot.name);
  }
  CHECK(decaying == std::vector<std::string>{"fc3.weight", "fc4.weight", "fc4.bias"});
  CHECK_FALSE(training_stage(read("{}").stages[0], 1).decays);
  CHECK(mistakes("{train: {optimizer: {decay_only: [weights, batch_norm]}}}").empty());
  for (const char* word : {"wieghts", "quantizers"})
    CHECK(holds(mistakes(fmt::format("train: {{optimizer: {{decay_only: [{}]}}}}", word)),
                fmt::format("t.yaml:1:33: train.optimizer.decay_only: holds '{}', which matches no parameter",
                            word)));
}

TEST_CASE("stages are laid over the spec; what must stay the same is checked") {
  const std::string text =
      "quantize: {weights: {method: binary_connect}}\n"
      "train: {epochs: 3}\n"
      "stages:\n"
      "- quantize: {weights: {method: none}}\n"
      "- train: {epochs: 5}\n";
  const ExperimentSpec experiment = read(text);
  REQUIRE(experiment.stages.size() == 2);
  CHECK(experiment.stages[0].weights.method == "none");
  CHECK(experiment.stages[0].train.epochs == 3);
  CHECK(experiment.stages[1].weights.method == "binary_connect");
  CHECK(experiment.stages[1].train.epochs == 5);
  const std::string resolved = compact_text(experiment.resolved);
  CHECK(compact_text(read(resolved).resolved) == resolved);
  CHECK(holds(mistakes("stages: [{seed: 4}]\n"), "t.yaml:1:17: seed: differs"));
  CHECK(holds(mistakes("stages: [{model: {name: mlp}}]\n"), "model: differs"));
  CHECK(holds(mistakes("stages: [{dataset: {name: cifar10}}]\n"), "changes name"));
  CHECK(holds(mistakes("stages: [{dataset: {augment: {crop: 24}}}]\n"), "changes augment.crop"));
  CHECK(holds(mistakes("stages: [{train: {epoch: 4}}]\n"), "train.epoch: unknown key"));
  CHECK(mistakes("stages: [{dataset: {batch_size: 64, augment: {flip: true}}}]\n").empty());
}

TEST_CASE("a lab takes the place of network and data") {
  const ExperimentSpec experiment =
      read("name: a\nlab: {name: scalar, steps: 7}\n", {"engine.threads=3", "seeds=[1, 2]"});
  REQUIRE(experiment.lab);
  CHECK(experiment.lab->spec.name == "scalar");
  CHECK(experiment.lab->threads == 3);
  CHECK(experiment.stages.empty());
  CHECK(experiment.resolved["lab"]["steps"] == 7);
  for (const char* key : {"engine", "model", "dataset"}) CHECK_FALSE(experiment.resolved.contains(key));
  const std::string text = compact_text(experiment.resolved);
  CHECK(compact_text(read(text).resolved) == text);
  CHECK_FALSE(read("{}").lab);
  const std::string all = mistakes(
      "lab: {name: scalar, stepps: 3, weights: {method: lab, clp: 1}}\n"
      "model: {name: lenet5}\n"
      "train: {epochs: 3}\n"
      "engine: {shard: 4}\n"
      "sed: 1\n");
  for (const char* place :
       {"t.yaml:1:21: lab.stepps: unknown key, did you mean 'steps'?",
        "lab.weights.clp: unknown key, did you mean 'clip'?", "t.yaml:2:8: model: stands beside lab",
        "t.yaml:3:8: train: stands beside lab", "t.yaml:4:10: engine.shard: unknown key",
        "t.yaml:5:1: sed: unknown key, did you mean 'seed'?"})
    CHECK_MESSAGE(holds(all, place), place << " not in\n" << all);
  CHECK(holds(mistakes("{}", {"lab.name=scaler"}), "did you mean 'scalar'?"));
  CHECK(holds(mistakes("lab: {name: scalar}\n", {"train.epochs=1"}), "train: stands beside lab"));
}

TEST_CASE("the reference holds common keys, keys of one method, and their defaults") {
  const std::string text = reference_text();
  CHECK(holds(text, "| `train.epochs` | "));
  CHECK(holds(text, "| `expect.val_accuracy` | "));
  CHECK(holds(text, "With `train.optimizer.name: adam`:"));
  CHECK(holds(text, "| `model.widths` | "));
  CHECK(holds(text, "| `lab.name` | one of two_layer_gaussian, "));
  CHECK(text.find("| `lab.name` |") == text.rfind("| `lab.name` |"));
  CHECK(holds(text, "With `lab.name: subspace_classifier`:"));
  CHECK(text.find("| `seed` |") == text.rfind("| `seed` |"));
}

TEST_CASE("JSON text: key order, shortest numbers that read back, no non-finite number") {
  Json value;
  value["b"] = 0.1;
  value["a"] = {1, 2.5, 1e-7};
  value["n"] = std::numeric_limits<double>::quiet_NaN();
  value["i"] = std::numeric_limits<double>::infinity();
  value["z"] = -0.0;
  value["o"] = Json::array({Json{{"k", true}}, nullptr});
  CHECK(compact_text(value) ==
        R"({"b": 0.1, "a": [1, 2.5, 1e-07], "n": null, "i": null, "z": 0, "o": [{"k": true}, null]})");
  CHECK(compact_text(Json::parse(compact_text(value))) == compact_text(value));
  CHECK(indented_text(Json{{"x", {1, 2}}, {"y", {{"z", "w"}}}}) ==
        "{\n \"x\": [1, 2],\n \"y\": {\n  \"z\": \"w\"\n }\n}\n");
}

}  // namespace
}  // namespace qtrain::run
