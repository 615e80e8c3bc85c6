#include "spec/reader.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "sample.hpp"

namespace qtrain::spec {
namespace {

/// The sentence that reading `value` as weights.bits (an integer in [1, 8]) gives; "" when accepted.
std::string bits_complaint(const std::string& value) {
  const std::string line = mistakes_of("weights: {bits: " + value + "}");
  const std::string prefix = "bad.yaml:1:17: weights.bits: ";
  if (line.empty()) return "";
  REQUIRE(line.starts_with(prefix));
  return line.substr(prefix.size());
}

std::string lambda_complaint(const std::string& value) {
  const std::string line = mistakes_of("weights: {lambda: " + value + "}");
  const std::string prefix = "bad.yaml:1:19: weights.lambda: ";
  if (line.empty()) return "";
  REQUIRE(line.starts_with(prefix));
  return line.substr(prefix.size());
}

}  // namespace

TEST_CASE("reader: every kind of field is read") {
  const Outcome outcome = read_sample(R"(
name: resnet20_ste
seed: 0
samples: 5000000000
notes: [one, "2", three three]
train:
  flip: false
  rate: 1.0e-3
  momentum: 0
  milestones: [20, 40, 60]
  factors: [-.5, 2e+1]
weights: {method: prox_quant, bits: 8, lambda: 5, skip: []}
)");
  CHECK(outcome.mistakes == "");
  const Sample& s = outcome.sample;
  CHECK(s.name == "resnet20_ste");
  CHECK(s.seed == 0);
  CHECK(s.samples == 5'000'000'000);
  CHECK(s.notes == std::vector<std::string>{"one", "2", "three three"});
  CHECK_FALSE(s.flip);
  CHECK(s.rate == 1e-3);
  CHECK(s.momentum == 0);
  CHECK(s.milestones == std::vector<int>{20, 40, 60});
  CHECK(s.factors == std::vector<double>{-0.5, 20});
  CHECK(s.method == "prox_quant");
  CHECK(s.bits == 8);
  CHECK(s.lambda == 5);
  CHECK(s.skip.empty());
}

TEST_CASE("reader: all mistakes of a file at once, in order of place") {
  const Outcome outcome = read_sample(
      "weights: {bits: 12,\n"
      "  method: binary_conect}\n"
      "train:\n"
      "  rate: abc\n"
      "  milestones: [1, 0, x]\n"
      "  rate: 2\n"
      "  flip: yes\n"
      "  momentun: 0\n"
      "colour: red\n");
  CHECK(
      outcome.mistakes ==
      "bad.yaml:1:17: weights.bits: is 12, must be an integer in [1, 8]\n"
      "bad.yaml:2:11: weights.method: is 'binary_conect', must be one of none, binary_connect, prox_quant, "
      "did you mean 'binary_connect'?\n"
      "bad.yaml:4:9: train.rate: is 'abc', must be a number > 0\n"
      "bad.yaml:5:19: train.milestones.1: is 0, must be an integer > 0\n"
      "bad.yaml:5:22: train.milestones.2: is 'x', must be an integer > 0\n"
      "bad.yaml:6:3: train.rate: given twice\n"
      "bad.yaml:7:9: train.flip: is 'yes', must be true or false\n"
      "bad.yaml:8:3: train.momentun: unknown key, did you mean 'momentum'?\n"
      "bad.yaml:9:1: colour: unknown key, known keys are name, seed, samples, notes, train, weights, stages");
  CHECK(outcome.sample.bits == 4);
  CHECK(outcome.sample.milestones == std::vector<int>{80, 140});
  CHECK(outcome.resolved["weights"]["bits"] == 4);
  CHECK(outcome.resolved["train"]["rate"] == 0.1);
}

TEST_CASE("reader: keys beside a method that there is not may be its own, and are not reported") {
  CHECK(mistakes_of("weights: {method: lsq, step: 1, bits: 0}\n") ==
        "bad.yaml:1:19: weights.method: is 'lsq', must be one of none, binary_connect, prox_quant\n"
        "bad.yaml:1:39: weights.bits: is 0, must be an integer in [1, 8]");
  CHECK(mistakes_of("weights: {method: none, step: 1}\n") != "");
}

TEST_CASE("reader: what a word has left over counts as not given, of the keys that are dropped") {
  const auto read = [](const std::vector<std::string>& words) {
    Document document =
        Document::parse("w: {method: a, bits: 2, rate: 3, list: [4], own: 5}", "f.yaml", words);
    Reader keys = document.root().group("w", "");
    std::string method = "none";
    int bits = 8, rate = 1;
    std::vector<int> list;
    keys.choice("method", method, {"none", "a"}, "");
    if (method == "none") keys.drop_left_over({"bits", "list"});
    keys.field("bits", bits, positive, "");
    keys.field("rate", rate, positive, "");
    keys.field("list", list, positive, "");
    if (method == "a") keys.ignore("own");
    keys.finish();
    CHECK(document.diagnostics().text() == "");
    return document.resolved()["w"].dump();
  };
  CHECK(read({}) == R"({"method":"a","bits":2,"rate":3,"list":[4]})");
  CHECK(read({"w.method=none"}) == R"({"method":"none","bits":8,"rate":3,"list":[]})");
  CHECK(read({"w.method=none", "w.bits=7"}) == R"({"method":"none","bits":7,"rate":3,"list":[]})");
}

TEST_CASE("reader: whether a method is none of its words, and whose keys are known") {
  const auto read = [](const std::string& method) {
    Document document = Document::parse("{method: " + method + ", key: 1}", "f.yaml");
    Reader root = document.root();
    std::string value = "a";
    root.choice("method", value, {"a", "b"}, "");
    CHECK(root.names_unknown() == (method == "c"));
    root.finish();
    return document.diagnostics().text();
  };
  CHECK(read("b") == "f.yaml:1:13: key: unknown key, known keys with method b are method");
  CHECK(read("c") == "f.yaml:1:10: method: is 'c', must be one of a, b");
}

TEST_CASE("reader: integers are plain decimal digits") {
  const std::string must_be = "must be an integer in [1, 8]";
  CHECK(bits_complaint("1") == "");
  CHECK(bits_complaint("8") == "");
  CHECK(bits_complaint("0") == "is 0, " + must_be);
  CHECK(bits_complaint("-3") == "is -3, " + must_be);
  CHECK(bits_complaint("010") == "is '010', with a leading zero, " + must_be);
  CHECK(bits_complaint("0x4") == "is '0x4', " + must_be);
  CHECK(bits_complaint("+4") == "is '+4', " + must_be);
  CHECK(bits_complaint("4.0") == "is 4.0, " + must_be);
  CHECK(bits_complaint("1e0") == "is 1e0, " + must_be);
  CHECK(bits_complaint("'4'") == "is the string '4', " + must_be);
  CHECK(bits_complaint("\"4\"") == "is the string '4', " + must_be);
  CHECK(bits_complaint("true") == "is 'true', " + must_be);
  CHECK(bits_complaint("[4]") == "is a list, " + must_be);
  CHECK(bits_complaint("{a: 4}") == "is a mapping, " + must_be);
  CHECK(bits_complaint("3000000000") == "is 3000000000, beyond 32 bits, " + must_be);
  CHECK(bits_complaint("99999999999999999999") == "is 99999999999999999999, beyond 32 bits, " + must_be);
  CHECK(mistakes_of("samples: 9223372036854775807") == "");
  CHECK(mistakes_of("samples: 99999999999999999999") ==
        "bad.yaml:1:10: samples: is 99999999999999999999, beyond 64 bits, must be an integer > 0");
}

TEST_CASE("reader: numbers are finite decimals") {
  const std::string must_be = "must be a number >= 0";
  for (const char* good : {"0", "1", "1e-4", "1.0e-4", "1E+2", "0.5", ".5", "5.", "-0", "5e-324"})
    CHECK_MESSAGE(lambda_complaint(good) == "", good);
  CHECK(lambda_complaint(".nan") == "is '.nan', not finite, " + must_be);
  CHECK(lambda_complaint("nan") == "is 'nan', not finite, " + must_be);
  CHECK(lambda_complaint(".inf") == "is '.inf', not finite, " + must_be);
  CHECK(lambda_complaint("-.Inf") == "is '-.Inf', not finite, " + must_be);
  CHECK(lambda_complaint("1e999") == "is 1e999, beyond the range of a double, " + must_be);
  CHECK(lambda_complaint("1e-999") == "is 1e-999, beyond the range of a double, " + must_be);
  CHECK(lambda_complaint("-0.1") == "is -0.1, " + must_be);
  CHECK(lambda_complaint("007") == "is '007', with a leading zero, " + must_be);
  CHECK(lambda_complaint("00.5") == "is '00.5', with a leading zero, " + must_be);
  CHECK(lambda_complaint("'0.1'") == "is the string '0.1', " + must_be);
  for (const char* bad : {".", "e5", "1e", "1e+", "1.2.3", "1_000", "--1", "-", "0x1p3"})
    CHECK_MESSAGE(lambda_complaint(bad) == "is '" + std::string(bad) + "', " + must_be, bad);
}

TEST_CASE("reader: strings keep their text, lists must be lists") {
  CHECK(read_sample("name: 010").sample.name == "010");
  CHECK(read_sample("name: ''").sample.name == "");
  CHECK(read_sample("name: \"a: \\u00e9\"").sample.name == "a: \xc3\xa9");
  CHECK(mistakes_of("name: [a]") == "bad.yaml:1:7: name: is a list, must be a string");
  CHECK(mistakes_of("notes: a") == "bad.yaml:1:8: notes: is 'a', must be a list of strings");
  CHECK(mistakes_of("train: {milestones: 3}") ==
        "bad.yaml:1:21: train.milestones: is 3, must be a list of integers > 0");
  CHECK(mistakes_of("train: {factors: {a: 1}}") ==
        "bad.yaml:1:18: train.factors: is a mapping, must be a list of numbers");
  CHECK(
      mistakes_of("weights: {skip: [first, lst]}") ==
      "bad.yaml:1:25: weights.skip.1: is 'lst', must be one of first, last, shortcut, did you mean 'last'?");
  CHECK(mistakes_of("weights: {skip: all}") ==
        "bad.yaml:1:17: weights.skip: is 'all', must be a list of words out of first, last, shortcut");
  CHECK(mistakes_of("train: 3") == "bad.yaml:1:8: train: is 3, must be a mapping");
  CHECK(mistakes_of("name: " + std::string(100, 'x') + "\nseed: " + std::string(100, 'y')) ==
        "bad.yaml:2:7: seed: is '" + std::string(60, 'y') + "...', must be an integer >= 0");
}

TEST_CASE("reader: an empty value is no value, located at its key") {
  CHECK(mistakes_of("seed:\n\n\nname: a") == "bad.yaml:1:1: seed: is empty, must be an integer >= 0");
  CHECK(mistakes_of("name:\nseed: 2") == "bad.yaml:1:1: name: is empty, must be a string");
  CHECK(mistakes_of("name: null") == "bad.yaml:1:1: name: is empty, must be a string");
  CHECK(mistakes_of("weights:\n  method: ~") ==
        "bad.yaml:2:3: weights.method: is empty, must be one of none, binary_connect, prox_quant");
  CHECK(mistakes_of("train:\nseed: 2") ==
        "bad.yaml:1:1: train: is empty, must be a mapping (or leave the key out)");
}

TEST_CASE("reader: bounds in words") {
  CHECK(any_number.text(false) == "a number");
  CHECK(between(1, 1).text(true) == "1");
  CHECK(positive.text(true) == "an integer > 0");
  CHECK(fraction.text(false) == "a number in [0, 1]");
  CHECK(at_least(0.5).text(false) == "a number >= 0.5");
  CHECK(Bounds{.low = 0, .high = 1, .low_open = true}.text(false) == "a number in (0, 1]");
  CHECK(Bounds{.low = 0, .high = 1, .high_open = true}.text(false) == "a number in [0, 1)");
  CHECK(Bounds{.high = 3}.text(true) == "an integer <= 3");
  CHECK(Bounds{.high = 3, .high_open = true}.text(true) == "an integer < 3");
  CHECK_FALSE(any_number.contains(std::numeric_limits<double>::quiet_NaN()));
  CHECK_FALSE(any_number.contains(kInfinity));
  CHECK_FALSE(positive.contains(0));
  CHECK(mistakes_of("train: {momentum: 1}") ==
        "bad.yaml:1:19: train.momentum: is 1, must be a number in [0, 1)");
}

TEST_CASE("reader: integers are compared with bounds exactly") {
  const auto mistakes = [](const std::string& seed) {
    Document document = Document::parse("seed: " + seed, "f.yaml");
    std::int64_t value = 0;
    document.root().field("seed", value, between(-9007199254740992.0, 9007199254740992.0), "");
    return document.diagnostics().text();
  };
  CHECK(mistakes("9007199254740992") == "");
  CHECK(mistakes("-9007199254740992") == "");
  CHECK(mistakes("9007199254740993") ==
        "f.yaml:1:7: seed: is 9007199254740993, must be an integer in [-9007199254740992, 9007199254740992]");
  CHECK(mistakes("-9007199254740993") != "");
}

TEST_CASE("reader: cross-field mistakes stand at the key, or at the mapping") {
  Document document = Document::parse("a: 1\nb:\n  c: 2\n", "f.yaml", {"b.d=5"});
  Reader root = document.root();
  Reader b = root.group("b", "");
  Reader missing = b.group("missing", "");
  CHECK(root.path() == "");
  CHECK(missing.path() == "b.missing");
  CHECK(b.has("c"));
  CHECK(b.has("d"));
  CHECK_FALSE(b.has("e"));
  b.mistake("c", "does not go with a");
  b.mistake("d", "does not go with a");
  b.mistake("e", "must be given");
  b.mistake("", "needs more");
  missing.mistake("f", "must be given");
  CHECK(document.diagnostics().text() ==
        "f.yaml:3:3: b.e: must be given\n"
        "f.yaml:3:3: b: needs more\n"
        "f.yaml:3:3: b.missing.f: must be given\n"
        "f.yaml:3:6: b.c: does not go with a\n"
        "override 'b.d=5': b.d: does not go with a");
}

TEST_CASE("reader: a mapping without any known key says so") {
  Document document = Document::parse("a: {b: 1}", "f.yaml");
  document.root().group("a", "").finish();
  CHECK(document.diagnostics().text() == "f.yaml:1:5: a.b: unknown key, no key is known here");
}

TEST_CASE("reader: lists of mappings") {
  Document document =
      Document::parse("stages: [{epochs: 3}, {epoch: 4}, 5]\n", "f.yaml", {"stages.0.rate=x"});
  Reader root = document.root();
  std::vector<Reader> stages = root.groups("stages", "Parts of the run.");
  REQUIRE(stages.size() == 3);
  for (Reader& stage : stages) {
    int epochs = 1;
    double rate = 0.5;
    stage.field("epochs", epochs, positive, "Epochs.");
    stage.field("rate", rate, positive, "Rate.");
    stage.finish();
  }
  CHECK(stages[2].path() == "stages.2");
  CHECK(root.groups("absent", "Nothing.").empty());
  root.finish();
  CHECK(document.diagnostics().text() ==
        "f.yaml:1:24: stages.1.epoch: unknown key, did you mean 'epochs'?\n"
        "f.yaml:1:35: stages.2: is 5, must be a mapping\n"
        "override 'stages.0.rate=x': stages.0.rate: is 'x', must be a number > 0");
  CHECK(document.resolved().dump() ==
        R"({"stages":[{"epochs":3,"rate":0.5},{"epochs":1,"rate":0.5},{"epochs":1,"rate":0.5}]})");
  const std::vector<KeyDoc>& keys = document.documentation();
  REQUIRE(keys.size() == 4);
  CHECK(keys[0].type == "list of mappings");
  CHECK(keys[1].path == "stages.N.epochs");
  CHECK(keys[3].path == "absent");
}

TEST_CASE("reader: a list of mappings that is none") {
  Document document = Document::parse("stages: 3", "f.yaml");
  CHECK(document.root().groups("stages", "").empty());
  CHECK(document.list_size("stages") == 0);
  CHECK(document.diagnostics().text() == "f.yaml:1:9: stages: is 3, must be a list of mappings");
  CHECK(document.resolved().dump() == "{}");
}

TEST_CASE("reader: documentation has one row a key, in order of reading") {
  Document document = Document::parse("train: {rate: 3}", "f.yaml");
  Sample().read(document.root());
  Sample().read(document.root());
  const std::vector<KeyDoc>& keys = document.documentation();
  REQUIRE(keys.size() == 15);
  CHECK(keys[0].path == "name");
  CHECK(keys[0].type == "string");
  CHECK(keys[0].by_default == "unnamed");
  CHECK(keys[0].sentence == "Name of the run.");
  CHECK(keys[1].type == "integer >= 0");
  CHECK(keys[3].by_default == "[]");
  CHECK(keys[4].path == "train");
  CHECK(keys[4].type == "mapping");
  CHECK(keys[5].type == "true or false");
  CHECK(keys[6].path == "train.rate");
  CHECK(keys[6].by_default == "0.1");
  CHECK(keys[8].type == "list of integers > 0");
  CHECK(keys[8].by_default == "[80, 140]");
  CHECK(keys[11].type == "one of none, binary_connect, prox_quant");
  CHECK(keys[14].by_default == "[first, last]");
}

TEST_CASE("reader: defaults as YAML would be read back as they are") {
  Document document = Document::parse("{}", "f.yaml");
  Reader root = document.root();
  std::string empty, number = "4", word = "null", path = "data/cifar10", spaced = "a: b";
  for (std::string* text : {&empty, &number, &word, &path, &spaced}) root.field(*text + "_", *text, "");
  const std::vector<KeyDoc>& keys = document.documentation();
  CHECK(keys[0].by_default == "\"\"");
  CHECK(keys[1].by_default == "\"4\"");
  CHECK(keys[2].by_default == "\"null\"");
  CHECK(keys[3].by_default == "data/cifar10");
  CHECK(keys[4].by_default == "\"a: b\"");
}

}  // namespace qtrain::spec
