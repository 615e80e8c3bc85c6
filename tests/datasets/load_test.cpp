#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "datasets/dataset.hpp"
#include "datasets/fixtures.hpp"
#include "datasets/locate.hpp"

namespace qtrain::datasets {
namespace {

DatasetSpec named(const std::string& name, const std::string& root = "") {
  DatasetSpec spec;
  spec.name = name;
  spec.root = root;
  return spec;
}

/// The folder of real data, or nullptr with a message.
const char* real_data(const std::string& folder) {
  const char* data = std::getenv("QTRAIN_DATA");
  if (data != nullptr && std::filesystem::exists(std::filesystem::path(data) / folder)) return data;
  MESSAGE("skipped: there is no ", folder, " below $QTRAIN_DATA");
  return nullptr;
}

TEST_CASE("registry: names are unique and found, sizes sensible") {
  std::set<std::string> names;
  for (const Entry& entry : registry()) {
    CHECK(names.insert(entry.name).second);
    CHECK(find(entry.name) == &entry);
    CHECK((entry.usual_folder == nullptr) == (entry.first_file == nullptr));
    CHECK(std::min(entry.train_count, entry.test_count) > 0);
    CHECK((std::min({entry.channels, entry.height, entry.width}) > 0) == !entry.text);
    CHECK((entry.validation_count > 0) == entry.text);
    CHECK(entry.classes >= 10);
    CHECK(entry.classes <= (entry.text ? 65536 : 256));
  }
  CHECK(names == std::set<std::string>{"mnist", "fashion_mnist", "cifar10", "cifar100", "shapes10",
                                       "war_and_peace", "war_and_peace_words", "penn_treebank",
                                       "markov_text"});
  CHECK(find("cifar") == nullptr);
}

TEST_CASE("locate: a given root is the only place, else $QTRAIN_DATA comes before data/") {
  const TemporaryFolder base;
  const Environment data("QTRAIN_DATA", base.path().c_str());
  const Entry& cifar = *find("cifar10");
  const auto below = [&](const char* part) { return base.path() / part; };
  using Paths = std::vector<std::filesystem::path>;
  CHECK(folders_to_search(cifar, "data/c/") == Paths{"data/c", "data/c/cifar-10-batches-bin"});
  CHECK(folders_to_search(cifar, "") == Paths{below("cifar-10-batches-bin"), "data/cifar-10-batches-bin"});
  for (const char* folder : {"cifar-10-batches-bin", "c", "data/c"})
    base.write(std::string(folder) + "/data_batch_1.bin", {1});
  CHECK(locate(cifar, "") == below("cifar-10-batches-bin"));
  CHECK(locate(cifar, "data/c").empty());
  CHECK(locate(cifar, below("wrong")).empty());
  CHECK(locate(cifar, below("c")) == below("c"));
  CHECK(locate(cifar, base.path()) == below("cifar-10-batches-bin"));
  const Environment none("QTRAIN_DATA", nullptr);
  CHECK(folders_to_search(cifar, "") == Paths{"data/cifar-10-batches-bin"});
}

TEST_CASE("load: missing files are an error that says where it looked and how to get them") {
  const Environment data("QTRAIN_DATA", "/nowhere");
  const std::string given = data_error([] { load(named("cifar10", "no/such")); });
  CHECK_CONTAINS(given,
                 "data set 'cifar10' is not there (looked for data_batch_1.bin in no/such, "
                 "no/such/cifar-10-batches-bin): ");
  CHECK_CONTAINS(given, "correct dataset.root");
  const std::string usual = data_error([] { load(named("cifar10")); });
  CHECK_CONTAINS(usual, "in /nowhere/cifar-10-batches-bin, data/cifar-10-batches-bin): ");
  CHECK_CONTAINS(usual, "data/fetch.sh cifar10");
  CHECK_CONTAINS(usual, "point QTRAIN_DATA at the folder that holds cifar-10-batches-bin");
}

TEST_CASE("load: a stand-in is proposed where one fits, and only there") {
  const Environment data("QTRAIN_DATA", "/nowhere");
  for (const Entry& entry : registry()) {
    if (entry.usual_folder == nullptr) continue;
    const std::string text = data_error([&] { load(named(entry.name, "no/such")); });
    const bool proposed = text.find("if_missing") != std::string::npos;
    CHECK_MESSAGE(proposed == (entry.text || entry.name == std::string("cifar10")), text);
    if (proposed)
      CHECK_CONTAINS(text, entry.text ? ", or let `dataset.if_missing: markov_text` stand in"
                                      : ", or let `dataset.if_missing: shapes10` stand in");
  }
}

TEST_CASE("load: if_missing stands in with a warning, keeps the limit; a file set cannot") {
  const Environment data("QTRAIN_DATA", "/nowhere");
  DatasetSpec spec = named("cifar100", "no/such");
  spec.if_missing = "shapes10";
  spec.limit = {.train = 30, .test = 20};
  const Loaded loaded = load(spec);
  CHECK(loaded.substituted);
  CHECK_CONTAINS(loaded.warning, "'cifar100' is not there");
  CHECK_CONTAINS(loaded.warning, "'shapes10' stands in");
  CHECK(loaded.dataset.name == "shapes10");
  CHECK(loaded.dataset.train.count == 30);
  CHECK(loaded.dataset.test.count == 20);
  spec.if_missing = "mnist";
  CHECK_THROWS_WITH_AS(load(spec), doctest::Contains("name a generated set"), Error);
  CHECK_THROWS_WITH_AS(load(named("cifar")), doctest::Contains("there is no data set 'cifar'"), Error);
}

TEST_CASE("load: a missing text, and its stand-in") {
  const Environment data("QTRAIN_DATA", "/nowhere");
  DatasetSpec spec = named("war_and_peace", "no/such");
  CHECK_CONTAINS(data_error([&] { load(spec); }), "dataset.if_missing: markov_text");
  spec.if_missing = "markov_text";
  spec.limit = {.train = 300, .test = 200};
  const Loaded loaded = load(spec);
  CHECK(loaded.substituted);
  CHECK_CONTAINS(loaded.warning, "'markov_text' stands in");
  CHECK(loaded.dataset.is_text());
  CHECK(loaded.dataset.name == "markov_text");
  CHECK(loaded.dataset.train_text.vocabulary == 27);
  CHECK(loaded.dataset.train_text.tokens.size() == 300);
  CHECK(loaded.dataset.test_text.tokens.size() == 200);
  CHECK(loaded.dataset.train.count == 0);
}

TEST_CASE("load: damaged files are an error even with a stand-in") {
  const TemporaryFolder base;
  base.write("data_batch_1.bin", {1, 2, 3});
  DatasetSpec spec = named("cifar10", base.path());
  spec.if_missing = "shapes10";
  CHECK_CONTAINS(data_error([&] { load(spec); }),
                 "data_batch_1.bin: byte 3: the file ends here, expected 30730000 bytes");
}

TEST_CASE("load: the limit takes the first images, and generated digests follow it") {
  DatasetSpec spec = named("shapes10");
  spec.limit = {.train = 20, .test = 10};
  const Loaded small = load(spec), again = load(spec);
  CHECK(!small.substituted);
  CHECK(small.warning.empty());
  CHECK(small.dataset.train.labels.size() == 20);
  CHECK(small.dataset.sha256.size() == 64);
  CHECK(small.dataset.sha256 == again.dataset.sha256);
  spec.limit.train = 40;
  const Loaded more = load(spec);
  CHECK(more.dataset.sha256 != small.dataset.sha256);
  CHECK(std::equal(small.dataset.train.pixels.begin(), small.dataset.train.pixels.end(),
                   more.dataset.train.pixels.begin()));
}

TEST_CASE("load: images held out are the last of those that the limit leaves, and are validated on") {
  DatasetSpec spec = named("shapes10");
  spec.limit = {.train = 20, .test = 10};
  const Dataset whole = load(spec).dataset;
  CHECK(whole.held_out.count == 0);
  spec.held_out = 6;
  CHECK(spec.train_count(*find("shapes10")) == 14);
  const Dataset set = load(spec).dataset;
  CHECK(set.sha256 == whole.sha256);
  CHECK(set.train.count == 14);
  CHECK(set.held_out.count == 6);
  CHECK(set.held_out.classes == 10);
  Bytes labels = set.train.labels, pixels = set.train.pixels;
  labels.insert(labels.end(), set.held_out.labels.begin(), set.held_out.labels.end());
  pixels.insert(pixels.end(), set.held_out.pixels.begin(), set.held_out.pixels.end());
  CHECK(labels == whole.train.labels);
  CHECK(pixels == whole.train.pixels);

  spec.batch_size = 16;
  const auto labels_of = [&](const Dataset& data, Split split) {
    Loader loader(data, split, spec);
    loader.start({});
    Batch batch;
    REQUIRE(loader.next(batch));
    return Bytes(batch.labels.begin(), batch.labels.end());
  };
  CHECK(labels_of(set, Split::validation) == set.held_out.labels);
  CHECK(labels_of(set, Split::test) == set.test.labels);
  CHECK(labels_of(whole, Split::validation) == set.test.labels);
  CHECK(labels_of(set, Split::train).size() == 14);
}

TEST_CASE("load: MNIST") {
  if (real_data("mnist") == nullptr) return;
  DatasetSpec spec = named("mnist");
  spec.limit.train = 1000;
  const Dataset set = load(spec).dataset;
  CHECK(set.train.count == 1000);
  CHECK(set.test.count == 10000);
  CHECK(set.train.pixels.size() == 1000 * 28 * 28);
  CHECK(Bytes(set.train.labels.begin(), set.train.labels.begin() + 5) == Bytes{5, 0, 4, 1, 9});
  CHECK(Bytes(set.test.labels.begin(), set.test.labels.begin() + 5) == Bytes{7, 2, 1, 0, 4});
  CHECK(set.sha256 == "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16");
}

TEST_CASE("load: CIFAR-10, whose pixels have the stated mean") {
  if (real_data("cifar-10-batches-bin") == nullptr) return;
  const Dataset set = load(named("cifar10")).dataset;
  CHECK(set.train.count == 50000);
  CHECK(set.test.count == 10000);
  CHECK(Bytes(set.train.labels.begin(), set.train.labels.begin() + 5) == Bytes{6, 9, 9, 4, 1});
  CHECK(Bytes(set.test.labels.begin(), set.test.labels.begin() + 5) == Bytes{3, 8, 8, 0, 6});
  CHECK(std::count(set.train.labels.begin(), set.train.labels.end(), 9) == 5000);
  for (std::size_t channel = 0; channel < 3; ++channel) {
    double sum = 0;
    for (std::size_t image = 0; image < 50000; ++image)
      for (std::size_t p = 0; p < 1024; ++p) sum += set.train.pixels[(image * 3 + channel) * 1024 + p];
    CHECK(sum / (255.0 * 50000 * 1024) == doctest::Approx(set.normalization.mean[channel]).epsilon(2e-4));
  }
  CHECK(set.sha256 == "32e5966899bde482c0ef7d076bf69809b4b1488c806f657a814cfca4646ec493");
}

TEST_CASE("load: War and Peace, whose splits come one after the other") {
  if (real_data("warpeace") == nullptr) return;
  DatasetSpec spec = named("war_and_peace");
  const Dataset set = load(spec).dataset;
  CHECK(set.train_text.vocabulary == 87);
  CHECK(set.train_text.tokens.size() == 2606596);
  CHECK(set.test_text.tokens.size() == 325825);
  using Tokens = std::vector<std::uint16_t>;
  const Tokens& train = set.train_text.tokens;
  CHECK(Tokens(train.begin(), train.begin() + 6) == Tokens{86, 83, 84, 4, 49, 57});  // EF BB BF "We
  CHECK(set.sha256 == "a3766b2b46d5f37b0788e738f109e877c73f4a403acf6a87c5266d384c4bc491");
  spec.evaluate = "test";
  spec.limit = {.train = 1000, .test = 500};
  const Dataset tested = load(spec).dataset;
  CHECK(tested.train_text.tokens == Tokens(train.begin(), train.begin() + 1000));
  CHECK(tested.test_text.tokens.size() == 500);
  CHECK(tested.test_text.tokens != Tokens(set.test_text.tokens.begin(), set.test_text.tokens.begin() + 500));
  CHECK(tested.sha256 != set.sha256);
}

TEST_CASE("load: War and Peace word by word") {
  if (real_data("warpeace") == nullptr) return;
  DatasetSpec spec = named("war_and_peace_words");
  const Dataset set = load(spec).dataset;
  const Entry& entry = *find("war_and_peace_words");
  CHECK(set.train_text.vocabulary == entry.classes);
  CHECK(static_cast<int>(set.train_text.tokens.size()) == entry.train_count);
  CHECK(static_cast<int>(set.test_text.tokens.size()) == entry.validation_count);
  CHECK(set.sha256 == "a7f24539ed62e00050164879a5f239eeca5ddd6b9ba9658a3738f5701e71a4c2");
  spec.evaluate = "test";
  CHECK(static_cast<int>(load(spec).dataset.test_text.tokens.size()) == entry.test_count);
}

TEST_CASE("load: Penn Treebank") {
  if (real_data("ptb") == nullptr) return;
  const Dataset set = load(named("penn_treebank")).dataset;
  CHECK(set.train_text.vocabulary == 10000);
  CHECK(set.train_text.tokens.size() == 929589);
  CHECK(set.test_text.tokens.size() == 73760);
  CHECK(std::vector<std::uint16_t>(set.train_text.tokens.begin(), set.train_text.tokens.begin() + 3) ==
        std::vector<std::uint16_t>{0, 1, 2});
}

}  // namespace
}  // namespace qtrain::datasets
