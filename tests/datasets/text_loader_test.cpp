// Batches of a text.
#include <algorithm>
#include <numeric>

#include "datasets/dataset.hpp"
#include "datasets/fixtures.hpp"

namespace qtrain::datasets {
namespace {

/// Token i is i, to train and to test.
Dataset counting(int tokens) {
  Dataset data;
  data.train_text = {.vocabulary = 65536,
                     .tokens = std::vector<std::uint16_t>(static_cast<std::size_t>(tokens))};
  std::iota(data.train_text.tokens.begin(), data.train_text.tokens.end(), std::uint16_t{0});
  data.test_text = data.train_text;
  return data;
}

DatasetSpec lanes_of(int lanes, int sequence) {
  DatasetSpec spec;
  spec.batch_size = lanes;
  spec.sequence = sequence;
  return spec;
}

struct Copy {
  int total, first, count;
  std::vector<float> tokens;
  std::vector<std::int32_t> labels;
  bool operator==(const Copy&) const = default;
};

std::vector<Copy> rest_of_epoch(Loader& loader) {
  std::vector<Copy> copies;
  for (Batch batch; loader.next(batch);)
    copies.push_back({batch.total,
                      batch.first,
                      batch.count,
                      {batch.images.begin(), batch.images.end()},
                      {batch.labels.begin(), batch.labels.end()}});
  return copies;
}

std::vector<Copy> epoch_of(const Dataset& data, const DatasetSpec& spec, Split split = Split::train,
                           const Part& part = {}) {
  Loader loader(data, split, spec, part);
  loader.start({.seed = 3, .epoch = 2});
  return rest_of_epoch(loader);
}

TEST_CASE("text loader: step b has the tokens [lane L + b T, + T) of every lane, labels are one later") {
  const Dataset data = counting(48);  // L = 47 / 3 = 15, 15 / 4 = 3 steps
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    const std::vector<Copy> copies = epoch_of(data, lanes_of(3, 4), split);
    REQUIRE(copies.size() == 3);
    CHECK(copies[0].tokens == std::vector<float>{0, 1, 2, 3, 15, 16, 17, 18, 30, 31, 32, 33});
    CHECK(copies[2].tokens == std::vector<float>{8, 9, 10, 11, 23, 24, 25, 26, 38, 39, 40, 41});
    for (const Copy& copy : copies) {
      CHECK(copy.total == 3);
      CHECK(copy.first == 0);
      CHECK(copy.count == 3);
      REQUIRE(copy.labels.size() == 12);
      for (std::size_t i = 0; i < 12; ++i)
        CHECK(copy.labels[i] == static_cast<std::int32_t>(copy.tokens[i]) + 1);
    }
  }
}

TEST_CASE("text loader: lanes are as long as they can be, and only the last token is label alone") {
  const Dataset data = counting(25);  // L = 24 / 2 = 12
  const std::vector<Copy> copies = epoch_of(data, lanes_of(2, 12));
  REQUIRE(copies.size() == 1);
  CHECK(copies[0].tokens.back() == 23);
  CHECK(copies[0].labels.back() == 24);
  CHECK(epoch_of(data, lanes_of(1, 24)).size() == 1);
  CHECK(epoch_of(data, lanes_of(24, 1)).size() == 1);
  CHECK(epoch_of(data, lanes_of(1, 1)).size() == 24);
  CHECK(Loader(data, Split::train, lanes_of(2, 5)).batches_per_epoch() == 2);
}

TEST_CASE("text loader: every epoch of every seed is the same") {
  const Dataset data = counting(1000);
  Loader loader(data, Split::train, lanes_of(4, 7));
  loader.start({.seed = 1, .epoch = 0});
  const std::vector<Copy> first = rest_of_epoch(loader);
  CHECK(first.size() == 35);
  loader.start({.seed = 9, .epoch = 5});
  CHECK(rest_of_epoch(loader) == first);
}

TEST_CASE("text loader: an epoch begun at step k goes on as the whole one does") {
  const Dataset data = counting(500);
  const std::vector<Copy> whole = epoch_of(data, lanes_of(5, 9));
  REQUIRE(whole.size() == 11);
  Loader loader(data, Split::train, lanes_of(5, 9));
  for (int first = 0; first <= 12; ++first) {
    loader.start({});
    Batch batch;
    for (int i = 0; i < first % 3; ++i) REQUIRE(loader.next(batch));
    loader.start({}, first);
    CHECK(rest_of_epoch(loader) == std::vector<Copy>(whole.begin() + std::min(first, 11), whole.end()));
  }
}

TEST_CASE("text loader: the parts of workers are the lanes of the whole, each once, the same every epoch") {
  const Dataset data = counting(700);
  const DatasetSpec spec = lanes_of(7, 8);
  const std::vector<Copy> whole = epoch_of(data, spec);
  for (const int workers : {1, 2, 3, 7})
    for (const bool fixed : {false, true}) {
      std::vector<Copy> joined(whole.size());
      for (int worker = 0; worker < workers; ++worker) {
        const Part part{.first = worker, .local = 1, .workers = workers, .fixed = fixed};
        const std::vector<Copy> own = epoch_of(data, spec, Split::train, part);
        REQUIRE(own.size() == whole.size());
        for (std::size_t b = 0; b < own.size(); ++b) {
          CHECK(own[b].total == 7);
          CHECK(own[b].first == part_begin(7, worker, workers));
          CHECK(own[b].first == joined[b].count);
          joined[b].total = 7;
          joined[b].count += own[b].count;
          joined[b].tokens.insert(joined[b].tokens.end(), own[b].tokens.begin(), own[b].tokens.end());
          joined[b].labels.insert(joined[b].labels.end(), own[b].labels.begin(), own[b].labels.end());
        }
      }
      CHECK(joined == whole);
    }
  CHECK(epoch_of(data, spec, Split::train, {.first = 0, .local = 3, .workers = 3}) == whole);
}

TEST_CASE("text loader: a text too short for one step is an error that names what to change") {
  const Dataset data = counting(200);
  DatasetSpec spec = lanes_of(10, 20);
  const auto error = [&](Split split) -> std::string {
    try {
      const Loader loader(data, split, spec);
    } catch (const Error& caught) {
      CHECK(caught.code() == ExitCode::usage);
      return caught.what();
    }
    return "";
  };
  CHECK(error(Split::train) ==
        "the training text has 200 tokens, must have at least 201, for 10 lanes of 20 tokens and one more: "
        "lower dataset.batch_size or dataset.sequence");
  spec.limit.test = 200;
  CHECK_CONTAINS(error(Split::test), "the validation text has 200 tokens");
  CHECK_CONTAINS(error(Split::test), "or dataset.sequence, or raise dataset.limit.test = 200");
  spec.evaluate = "test";
  CHECK_CONTAINS(error(Split::test), "the test text has 200 tokens");
  spec.sequence = 19;
  CHECK(error(Split::train) == "");
  Dataset empty = counting(0);
  CHECK_THROWS_AS(Loader(empty, Split::train, lanes_of(1, 1)), Error);
}

TEST_CASE("text loader: a token outside the vocabulary comes out of next(), after the good batches") {
  Dataset data = counting(41);
  data.train_text.vocabulary = 40;  // token 40, the last label, is not in it
  Loader loader(data, Split::train, lanes_of(2, 10));
  loader.start({});
  Batch batch;
  CHECK(loader.next(batch));
  CHECK_THROWS_WITH_AS(loader.next(batch), doctest::Contains("token 40 is 40"), Error);
}

}  // namespace
}  // namespace qtrain::datasets
