#include <doctest/doctest.h>

#include "run/experiment.hpp"
#include "run/json_text.hpp"

namespace qtrain::run {
namespace {

using Json = nlohmann::ordered_json;
using Keys = std::vector<std::string>;

constexpr const char* kStaged =
    "name: a\n"
    "model: {name: mlp}\n"
    "dataset: {batch_size: 64}\n"
    "quantize:\n"
    "  weights: {method: md_tanh_s, levels: ternary}\n"
    "  activations: {quantizer: dorefa, bits: 2}\n"
    "train: {epochs: 3}\n"
    "stages:\n"
    "- quantize: {weights: {method: none}}\n"
    "- {dataset: {batch_size: 100}, quantize: {activations: {bits: 4}}, train: {epochs: 3}}\n"
    "- {}\n";

ExperimentSpec read(const std::string& text, const std::vector<std::string>& overrides = {}) {
  spec::Document document = spec::Document::parse(text, "t.yaml", overrides);
  return read_experiment(document);
}

Json staged(const std::vector<std::string>& overrides = {}) { return read(kStaged, overrides).resolved; }

TEST_CASE("files hold of a stage what differs from the whole; it reads back to the same experiment") {
  const Json whole = staged();
  const Json changes = stages_as_changes(whole);
  CHECK(compact_text(changes["stages"]) ==
        R"([{"quantize": {"weights": {"method": "none"}}}, )"
        R"({"dataset": {"batch_size": 100}, "quantize": {"activations": {"bits": 4}}, )"
        R"("engine": {"shard": 25}}, )"
        R"({}])");
  CHECK(compact_text(stages_as_changes(changes)) == compact_text(changes));
  const Json again = read(compact_text(changes)).resolved;
  CHECK(compact_text(again) == compact_text(whole));
  CHECK(spec_hash(again) == spec_hash(whole));
  const Json single = read("{}").resolved;
  CHECK(compact_text(stages_as_changes(single)) == compact_text(single));
}

TEST_CASE("a word over the spec in a file reaches the stages that have no value of their own") {
  const std::string text = compact_text(stages_as_changes(staged()));
  const ExperimentSpec experiment = read(
      text, {"seed=2", "name=b", "dataset.limit.test=64", "train.epochs=5", "quantize.activations.bits=3"});
  CHECK(experiment.seed == 2);
  const Json& stages = experiment.resolved["stages"];
  for (const Json& stage : stages) {
    CHECK(stage["dataset"]["limit"]["test"] == 64);
    CHECK(stage["train"]["epochs"] == 5);
  }
  CHECK(stages[0]["quantize"]["activations"]["bits"] == 3);
  CHECK(stages[1]["quantize"]["activations"]["bits"] == 4);
  CHECK(stages[1]["dataset"]["batch_size"] == 100);
}

TEST_CASE("the files of one seed have it once, whatever the stages") {
  const Json spec = resolved_for_seed(read(kStaged, {"seeds=[4, 5]"}), 5);
  CHECK(spec["seed"] == 5);
  CHECK(spec["seeds"].empty());
  for (const Json& stage : spec["stages"]) {
    CHECK_FALSE(stage.contains("seed"));
    CHECK_FALSE(stage.contains("seeds"));
  }
}

TEST_CASE("stages differ by what they make of the whole, in files of before too, which have them whole") {
  const Json whole = staged();
  const Json changes = stages_as_changes(whole);
  CHECK(differing_keys(whole, changes).empty());
  CHECK(differing_keys(whole, stages_as_changes(staged({"seed=2"}))) == Keys{"seed"});
  CHECK(differing_keys(changes, staged({"stages.2.train.epochs=9"})) == Keys{"stages.2.train.epochs"});
  CHECK(differing_keys(changes, staged({"stages=[]"})) == Keys{"stages"});
  CHECK(differing_keys(staged({"stages=[{}]"}), whole) == Keys{"stages"});
}

TEST_CASE("a list is one key, and of very many keys the first are listed") {
  CHECK(differing_keys(read("{seeds: [1, 2]}").resolved, read("{seeds: [1, 3, 4]}").resolved) ==
        Keys{"seeds"});
  CHECK(differing_keys(read("{}").resolved, read("{seeds: [1, 2]}").resolved) == Keys{"seeds"});
  CHECK(listed_keys({}) == "");
  CHECK(listed_keys({"a", "b"}) == "a, b");
  CHECK(listed_keys({"a", "b", "c", "d", "e", "f", "g", "h"}) == "a, b, c, d, e, f, g, h");
  CHECK(listed_keys({"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}) ==
        "a, b, c, d, e, f, g, h and 2 more");
}

}  // namespace
}  // namespace qtrain::run
