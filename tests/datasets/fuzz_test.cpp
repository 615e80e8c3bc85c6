// Damaged files: a reader returns what a whole file would give in size, or throws a data error; nothing else.
#include "base/random.hpp"
#include "datasets/cifar.hpp"
#include "datasets/fixtures.hpp"
#include "datasets/idx.hpp"
#include "datasets/penn_treebank.hpp"
#include "datasets/war_and_peace.hpp"

namespace qtrain::datasets {
namespace {

/// Changes up to 4 bytes, and one time in two cuts the end off or adds to it.
Bytes damaged(Bytes bytes, RandomStream& random) {
  for (std::uint32_t changes = random.below(5); changes > 0; --changes)
    bytes[random.below(static_cast<std::uint32_t>(bytes.size()))] = static_cast<std::uint8_t>(random.bits());
  if (random.below(4) == 0) bytes.resize(random.below(static_cast<std::uint32_t>(bytes.size())));
  if (random.below(4) == 0) bytes.resize(bytes.size() + random.below(50));
  return bytes;
}

/// True if `work` returned, false if it threw a data error; anything else fails the test.
template <class Work>
bool survives(const Work& work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    REQUIRE(error.code() == ExitCode::data);
    return false;
  }
}

TEST_CASE("fuzz: 1000 damaged files of each kind are read or refused") {
  const TemporaryFolder folder;
  const Bytes images = followed_by_ramp(idx_header({0x803, 5, 3, 4}), 60);
  const Bytes labels = followed_by_ramp(idx_header({0x801, 9}), 9);
  const Bytes records = followed_by_ramp(followed_by_ramp({3}, 12, 50), 13, 9);
  const int ten[] = {10};
  int read = 0, refused = 0;
  const auto count = [&](bool survived) { ++(survived ? read : refused); };
  for (std::uint32_t round = 0; round < 1000; ++round) {
    RandomStream random(7, Purpose::test, round);
    folder.write("images", damaged(images, random));
    folder.write("packed.gz", damaged(gzipped(images), random));
    folder.write("labels", damaged(labels, random));
    folder.write("records", damaged(records, random));
    for (const char* name : {"images", "packed"})
      count(survives([&] {
        const Bytes pixels = read_idx_images(folder.path(), name, {5, 3, 4});
        REQUIRE(pixels.size() == 60);
      }));
    count(survives([&] {
      const Bytes read_labels = read_idx_labels(folder.path(), "labels", 9, 10);
      REQUIRE(read_labels.size() == 9);
    }));
    count(survives([&] {
      Images into{
          .count = 0, .channels = 3, .height = 2, .width = 2, .classes = 10, .pixels = {}, .labels = {}};
      read_cifar(folder.path(), "records", 2, ten, into);
      REQUIRE(into.pixels.size() == 24);
    }));
  }
  CHECK(read > 500);
  CHECK(refused > 1500);
}

TEST_CASE("fuzz: 500 damaged texts of each kind are read or refused") {
  const TemporaryFolder folder;
  const Bytes characters = followed_by_ramp(followed_by_ramp({}, 60, 65), 60, 70);  // 65 distinct
  const std::string sentences = " a b <unk>\n b c a\n c <unk> d e\n";
  const Bytes words(sentences.begin(), sentences.end());
  int read = 0, refused = 0;
  const auto count = [&](bool survived) { ++(survived ? read : refused); };
  for (std::uint32_t round = 0; round < 500; ++round) {
    RandomStream random(8, Purpose::test, round);
    folder.write("characters", damaged(characters, random));
    folder.write("packed.gz", damaged(gzipped(characters), random));
    folder.write("ptb.train.txt", damaged(words, random));
    folder.write("ptb.valid.txt", damaged(words, random));
    for (const char* name : {"characters", "packed"})
      count(survives([&] {
        const Text text = read_characters(folder.path(), name, {.bytes = 120, .vocabulary = 65});
        REQUIRE(text.tokens.size() == 120);
        for (const std::uint16_t token : text.tokens) REQUIRE(token < 65);
      }));
    count(survives([&] {
      const Dataset set =
          read_words(folder.path(), "validation", {.vocabulary = 7, .train = 13, .validation = 13});
      REQUIRE(set.train_text.tokens.size() == 13);
      REQUIRE(set.test_text.tokens.size() == 13);
      for (const std::uint16_t token : set.test_text.tokens) REQUIRE(token < 7);
    }));
  }
  CHECK(read > 100);
  CHECK(refused > 750);
}

}  // namespace
}  // namespace qtrain::datasets
