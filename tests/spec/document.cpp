#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/error.hpp"
#include "sample.hpp"

namespace qtrain::spec {

TEST_CASE("document: an empty mapping gives every default, resolved in order of reading") {
  for (const char* text : {"{}", "# nothing\n{}\n", "---\n{}"}) {
    const Outcome outcome = read_sample(text);
    CHECK_MESSAGE(outcome.mistakes == "", text);
    CHECK(
        outcome.resolved.dump() ==
        R"({"name":"unnamed","seed":1,"samples":50000,"notes":[],"train":{"flip":true,"rate":0.1,"momentum":0.9,)"
        R"("milestones":[80,140],"factors":[0.1]},"weights":{"method":"none","bits":4,"lambda":0.0001,)"
        R"("skip":["first","last"]}})");
  }
}

TEST_CASE("document: a text that holds nothing is a mistake, whatever the words") {
  for (const char* text : {"", "\n\n", "# nothing\n", "---\n", "\n~", "null"}) {
    CHECK_MESSAGE(mistakes_of(text) == "bad.yaml:1:1: is empty, must be a mapping", text);
    CHECK_MESSAGE(mistakes_of(text, {"seed=2"}) == "bad.yaml:1:1: is empty, must be a mapping", text);
  }
}

TEST_CASE("document: the resolved spec reads back as the same values, compact or indented") {
  const Outcome first = read_sample(
      "name: \"quote \\\" back \\\\ tab \\t \\u00e9 \\U0001F600 / # : {\"\n"
      "notes: ['', '1', 'true', ' x ', '~', \"two\\nlines\"]\n"
      "samples: 9223372036854775807\n"
      "train: {rate: 0.1000000000000000055511151231257827, momentum: 5e-324, factors: [1e22, 3, -0.0, "
      "1.7976931348623157e308]}\n");
  CHECK(first.mistakes == "");
  for (const int indent : {-1, 2}) {
    const Outcome second = read_sample(first.resolved.dump(indent));
    CHECK(second.mistakes == "");
    CHECK(second.resolved.dump() == first.resolved.dump());
    CHECK(second.sample.name == first.sample.name);
    CHECK(second.sample.notes == first.sample.notes);
    CHECK(second.sample.factors == first.sample.factors);
  }
  CHECK(first.resolved["train"]["rate"].dump() == "0.1");
}

TEST_CASE("document: a default that is not allowed means 'not given' and is not recorded") {
  Document document = Document::parse("b: 2", "f.yaml");
  Reader root = document.root();
  double a = std::numeric_limits<double>::quiet_NaN();
  int b = -1;
  std::string c;
  root.field("a", a, fraction, "");
  root.field("b", b, non_negative, "");
  root.choice("c", c, {"x", "y"}, "");
  CHECK(std::isnan(a));
  CHECK(b == 2);
  CHECK(document.resolved().dump() == R"({"b":2})");
  CHECK(document.documentation()[0].by_default == "");
}

TEST_CASE("override: laid over the file, made where missing, the last word wins") {
  const Outcome outcome = read_sample("weights: {bits: 2, lambda: 3}",
                                      {"weights.bits=3", "train.milestones=[1, 2]", "name='a: b = c'",
                                       "seed=5", "seed=6", "train.milestones.1=7", "train.flip=false"});
  CHECK(outcome.mistakes == "");
  CHECK(outcome.sample.bits == 3);
  CHECK(outcome.sample.lambda == 3);
  CHECK(outcome.sample.milestones == std::vector<int>{1, 7});
  CHECK(outcome.sample.name == "a: b = c");
  CHECK(outcome.sample.seed == 6);
  CHECK_FALSE(outcome.sample.flip);
}

TEST_CASE("override: a mapping or a scalar replaces what stood there") {
  const Outcome outcome =
      read_sample("weights: {bits: 2, lambda: 3}", {"weights={method: binary_connect}", "weights.lambda=1"});
  CHECK(outcome.mistakes == "");
  CHECK(outcome.sample.method == "binary_connect");
  CHECK(outcome.sample.bits == 4);
  CHECK(outcome.sample.lambda == 1);
  CHECK(mistakes_of("weights: {bits: 2}", {"weights=3"}) ==
        "override 'weights=3': weights: is 3, must be a mapping");
  CHECK(read_sample("weights: 3", {"weights={bits: 5}"}).sample.bits == 5);
}

TEST_CASE("override: with another method, the text's keys of the one before are no mistakes") {
  const std::string text = "weights: {method: prox_quant, bits: 2, step: 3}\n";
  CHECK(mistakes_of(text) != "");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"weights.method=binary_connect", "weights.lambda=7"},
        {"weights.lambda=7", "weights.method=binary_connect"}}) {
    const Outcome outcome = read_sample(text, words);
    CHECK(outcome.mistakes == "");
    CHECK(outcome.sample.method == "binary_connect");
    CHECK(outcome.sample.bits == 2);  // both have it
    CHECK(outcome.sample.lambda == 7);
    CHECK_FALSE(outcome.resolved["weights"].contains("step"));
  }
  CHECK(mistakes_of("weights: {step: 2}", {"weights.method=none"}) == "");  // keys of the default
  CHECK(mistakes_of(text, {"weights.method=prox_quant"}) != "");
  CHECK(mistakes_of(text, {"weights.method=none", "weights.rate=1"}) ==
        "override 'weights.rate=1': weights.rate: unknown key, known keys with method none are method, bits, "
        "lambda, skip");
  CHECK(mistakes_of(text, {"weights.rate=1", "weights.method=none"}) != "");
  CHECK(mistakes_of("weights: {bits: x}", {"weights.method=none"}) != "");
  CHECK(mistakes_of("sed: 3", {"name=b"}) == "bad.yaml:1:1: sed: unknown key, did you mean 'seed'?");
}

TEST_CASE("override: what a word leaves over in a stage, as in the whole") {
  const auto merged = [](const std::vector<std::string>& words) {
    const Document document = Document::parse(
        "stages: [{sed: 7, weights: {method: prox_quant, bits: 2, step: 3}}]\n", "s.yaml", words);
    return outcome_of(document.merged("stages", 0));
  };
  const Outcome other = merged({"stages.0.weights.method=none", "stages.0.name=b"});
  CHECK(other.mistakes == "s.yaml:1:11: sed: unknown key, did you mean 'seed'?");
  CHECK(other.sample.bits == 2);
  const auto of_stage = [](const std::string& weights) {
    const Document document =
        Document::parse("weights: {method: prox_quant, step: 3}\nstages: [{weights: {" + weights + "}}]\n",
                        "s.yaml", {"weights.method=none"});
    return outcome_of(document.merged("stages", 0)).mistakes;
  };
  CHECK(of_stage("step: 4") == "");
  CHECK(of_stage("method: none, step: 4").starts_with("s.yaml:2:35: weights.step: unknown"));
}

TEST_CASE("override: what every stage replaces is a mistake that says where to set it") {
  const auto reported = [](const std::string& stages, const std::vector<std::string>& words) {
    Document document = Document::parse("weights: {method: prox_quant}\nstages: " + stages, "s.yaml", words);
    document.report_replaced("stages");
    return document.diagnostics().text();
  };
  const std::string both = "[{train: {rate: 1}}, {train: {rate: 2, milestones: [3]}}]\n";
  CHECK(reported(both, {"train.rate=4"}) ==
        "override 'train.rate=4': train.rate: is replaced by each of stages: set stages.0.train.rate, "
        "stages.1.train.rate");
  CHECK(reported(both, {"train={rate: 4}"}) != "");
  CHECK(reported(both, {"train={rate: 4, flip: false}"}) == "");
  CHECK(reported(both, {"train.milestones=[4]"}) == "");
  CHECK(reported(both, {"train.rate=4", "stages.1.train.rate=5"}) == "");
  CHECK(reported(both, {"stages.0.train.rate=4", "name=a", "seed=3", "seed=4"}) == "");
  CHECK(reported("[{weights: {method: none}}]\n", {"weights.bits=3"}) ==
        "override 'weights.bits=3': weights.bits: is replaced by each of stages: set stages.0.weights.bits");
  CHECK(reported("[]\n", {"train.rate=4"}) == "");
}

TEST_CASE("override: what some stages replace by their own is warned of") {
  const auto warnings = [](const std::string& stages, const std::vector<std::string>& words) {
    Document document = Document::parse("weights: {method: prox_quant}\nstages: " + stages, "s.yaml", words);
    document.report_replaced("stages");
    CHECK(document.diagnostics().empty());
    return document.diagnostics().warnings();
  };
  const std::string own = "[{train: {rate: 1}}, {}, {train: {rate: 2, flip: true}}]\n";
  CHECK(warnings(own, {"train.rate=4"}) ==
        std::vector<std::string>{"override 'train.rate=4': train.rate: does not reach all of stages, as some "
                                 "set their own: where it should, set stages.0.train.rate, "
                                 "stages.2.train.rate too"});
  CHECK(warnings(own, {"train.rate=4", "stages.0.train.rate=4", "stages.2.train.rate=4"}).empty());
  CHECK(warnings(own, {"train.milestones=[4]", "seed=3"}).empty());
  CHECK(warnings("[{}, {}]\n", {"train.rate=4"}).empty());
  // Another method has no such key, or a default of its own.
  CHECK(warnings("[{weights: {method: none}}, {}]\n", {"weights.bits=3"}).empty());
  CHECK(warnings("[{weights: {method: none}}, {}]\n", {"weights.method=binary_connect"}).size() == 1);
}

TEST_CASE("override: every mistake has its sentence") {
  CHECK(mistakes_of("{}", {"weights.bits=12"}) ==
        "override 'weights.bits=12': weights.bits: is 12, must be an integer in [1, 8]");
  CHECK(mistakes_of("weights: {bits: 1}", {"weights.lamda=1"}) ==
        "override 'weights.lamda=1': weights.lamda: unknown key, did you mean 'lambda'?");
  CHECK(mistakes_of("{}", {"weigths.bits=1"}) ==
        "override 'weigths.bits=1': weigths: unknown key, did you mean 'weights'?");
  CHECK(mistakes_of("{}", {"weights.bits="}) ==
        "override 'weights.bits=': weights.bits: is empty, must be an integer in [1, 8]");
  CHECK(mistakes_of("{}", {"weights={bits: 1, bits: 2}"}) ==
        "override 'weights={bits: 1, bits: 2}': weights.bits: given twice");
  CHECK(mistakes_of("{}", {"train={rate: 1"})
            .starts_with("override 'train={rate: 1': train: is not valid YAML ("));
  CHECK(mistakes_of("{}", {"name=a: b"}) == "override 'name=a: b': name: is a mapping, must be a string");
  CHECK(mistakes_of("name: foo", {"name.x=3"}) ==
        "override 'name.x=3': name: is 'foo', must be a mapping to hold 'x'");
  for (const char* word : {"bits", "=3", "a..b=3", ".a=3", "a.=3", ""})
    CHECK(mistakes_of("{}", {word}) ==
          "override '" + std::string(word) + "': is malformed, must be path=value, such as train.epochs=1");
  CHECK(mistakes_of("{}", {"seed=\xff"}) == "override 'seed=?': is not UTF-8 text, must be path=value");
  CHECK(mistakes_of("{}", {"train.milestones=[1]", "train.milestones.1=3"}) ==
        "override 'train.milestones.1=3': train.milestones: has no item '1', it is a list of 1, counted from "
        "0");
  CHECK(mistakes_of("train: {milestones: [1]}", {"train.milestones.-1=3"}) ==
        "override 'train.milestones.-1=3': train.milestones: has no item '-1', it is a list of 1, counted "
        "from 0");
}

TEST_CASE("override: an item of a list that the spec does not give has its sentence, and leaves nothing") {
  const std::string sentence = ": has no item '0', the spec gives no list there: set the whole list";
  CHECK(mistakes_of("{}", {"notes.0=a"}) == "override 'notes.0=a': notes" + sentence);
  CHECK(mistakes_of("{}", {"stages.0.train.rate=1"}) ==
        "override 'stages.0.train.rate=1': stages" + sentence);
  const Outcome outcome = read_sample("{}", {"weights.bits=3", "weights.skip.0=last"});
  CHECK(outcome.mistakes == "override 'weights.skip.0=last': weights.skip" + sentence);
  CHECK(outcome.sample.bits == 3);
  CHECK(outcome.sample.skip == std::vector<std::string>{"first", "last"});
  CHECK(read_sample("{}", {"notes=[a, b]", "notes.0=c"}).sample.notes == std::vector<std::string>{"c", "b"});
}

TEST_CASE("override: a word without a value is no empty string, and says how one is written") {
  CHECK(mistakes_of("{}", {"name="}) ==
        "override 'name=': name: is empty, must be a string, an empty one as name='\"\"'");
  CHECK(mistakes_of("{}", {"name=~"}) == "override 'name=~': name: is empty, must be a string");
  CHECK(read_sample("{}", {"name=\"\""}).sample.name == "");
}

TEST_CASE("override: what it replaces is no mistake any more, and file mistakes come first") {
  CHECK(mistakes_of("weights: {bits: abc}", {"weights.bits=2"}) == "");
  CHECK(mistakes_of("seed: -1", {"weights.bits=0"}) ==
        "bad.yaml:1:7: seed: is -1, must be an integer >= 0\n"
        "override 'weights.bits=0': weights.bits: is 0, must be an integer in [1, 8]");
}

TEST_CASE("merged: a stage lies over the whole, its places kept") {
  const Document document = Document::parse(
      "name: base\n"
      "train: {rate: 0.5, milestones: [1, 2]}\n"
      "weights: {method: prox_quant, bits: 2}\n"
      "stages:\n"
      "  - train: {rate: 0.25}\n"
      "  - name: second\n"
      "    weights: {method: prox_quant, lambda: 7}\n"
      "    train: {milestones: [9]}\n"
      "  - weights: {method: binary_connect}\n"
      "  - weights: {lambda: x, bitz: 3}\n",
      "s.yaml");
  REQUIRE(document.list_size("stages") == 4);
  CHECK(document.list_size("absent") == 0);
  const Outcome first = outcome_of(document.merged("stages", 0));
  CHECK(first.mistakes == "");
  CHECK(first.sample.rate == 0.25);
  CHECK(first.sample.bits == 2);
  CHECK(first.sample.milestones == std::vector<int>{1, 2});
  CHECK_FALSE(document.merged("stages", 0).root().has("stages"));

  const Outcome second = outcome_of(document.merged("stages", 1));
  CHECK(second.sample.name == "second");
  CHECK(second.sample.rate == 0.5);  // another name of the whole keeps the rest
  CHECK(second.sample.milestones == std::vector<int>{9});
  CHECK(second.sample.bits == 2);  // the same method keeps its keys
  CHECK(second.sample.lambda == 7);

  const Outcome third = outcome_of(document.merged("stages", 2));
  CHECK(third.sample.method == "binary_connect");
  CHECK(third.sample.bits == 4);  // another method drops the keys of the one before

  CHECK(outcome_of(document.merged("stages", 3)).mistakes ==
        "s.yaml:10:23: weights.lambda: is 'x', must be a number >= 0\n"
        "s.yaml:10:26: weights.bitz: unknown key, did you mean 'bits'?");
}

TEST_CASE("merged: mistakes of all stages gather in one place") {
  Document document = Document::parse("seed: -1\nstages: [{seed: x}, 3]\n", "s.yaml");
  Sample().read(document.root());
  for (std::size_t i = 0; i < document.list_size("stages"); ++i)
    Sample().read(document.merged("stages", i).root());
  CHECK(document.diagnostics().text() ==
        "s.yaml:1:7: seed: is -1, must be an integer >= 0\n"
        "s.yaml:2:17: seed: is 'x', must be an integer >= 0\n"
        "s.yaml:2:21: stages.1: is 3, must be a mapping");
  CHECK_THROWS_AS(document.merged("stages", 2), Error);
}

TEST_CASE("parse: of a file of metrics the spec in it, its places kept") {
  const std::string text =
      "{\"schema\": 1, \"spec\": {\"seed\": 5,\n \"weights\": {\"bitz\": 2}}, \"epochs\": []}";
  const Outcome outcome = read_sample(text, {"name=again"});
  CHECK(outcome.mistakes == "bad.yaml:2:14: weights.bitz: unknown key, did you mean 'bits'?");
  CHECK(outcome.sample.seed == 5);
  CHECK(outcome.sample.name == "again");
  CHECK(mistakes_of("spec: {seed: 5}").starts_with("bad.yaml:1:1: spec: unknown key"));
  CHECK(mistakes_of("schema: 1\nspec: 3\n").starts_with("bad.yaml:1:1: schema: unknown key"));
}

TEST_CASE("load: what has no end is read no further than a spec may be long") {
  Document document = Document::load("/dev/zero");
  CHECK(document.diagnostics().text() == "/dev/zero:1:1: is too long, must be at most 1048576 bytes");
  CHECK_THROWS_WITH_AS(Document::load("/"), doctest::Contains("cannot read /: Is a directory"), Error);
}

TEST_CASE("load: reads a file, and names one that cannot be read") {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "qtrain_test_spec_load.yaml";
  std::ofstream(path) << "seed: 7\n";
  Document document = Document::load(path.string(), {"name=loaded"});
  std::filesystem::remove(path);
  const Outcome outcome = outcome_of(document);
  CHECK(outcome.mistakes == "");
  CHECK(outcome.sample.seed == 7);
  CHECK(outcome.sample.name == "loaded");
  try {
    Document::load(path.string());
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    CHECK(std::string(error.what()).find(path.string()) != std::string::npos);
  }
}

}  // namespace qtrain::spec
