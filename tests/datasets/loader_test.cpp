#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>

#include "datasets/dataset.hpp"
#include "datasets/fixtures.hpp"
#include "datasets/order.hpp"
#include "datasets/renderer.hpp"

namespace qtrain::datasets {
namespace {

const Normalization kPlain{.mean = {0}, .deviation = {1.0f / 255.0f}};  // byte b becomes about b

/// `count` images of 1x4x4, the same to train and to test; every pixel of image i is i, and so is its label.
Dataset numbered(int count) {
  Images images{
      .count = count, .channels = 1, .height = 4, .width = 4, .classes = 256, .pixels = {}, .labels = {}};
  for (int i = 0; i < count; ++i) {
    images.pixels.insert(images.pixels.end(), 16, static_cast<std::uint8_t>(i));
    images.labels.push_back(static_cast<std::uint8_t>(i));
  }
  Dataset data;
  data.train = data.test = std::move(images);
  data.normalization = kPlain;
  return data;
}

DatasetSpec batches_of(int size) {
  DatasetSpec spec;
  spec.batch_size = size;
  return spec;
}

struct Copy {
  std::vector<float> images;
  std::vector<std::int32_t> labels;
  bool operator==(const Copy&) const = default;
};

std::vector<Copy> rest_of_epoch(Loader& loader) {
  std::vector<Copy> copies;
  Batch batch;
  while (loader.next(batch)) {
    CHECK(batch.labels.size() == static_cast<std::size_t>(batch.count));
    copies.push_back(
        {{batch.images.begin(), batch.images.end()}, {batch.labels.begin(), batch.labels.end()}});
  }
  return copies;
}

std::vector<std::int32_t> labels_of(const std::vector<Copy>& copies) {
  std::vector<std::int32_t> labels;
  for (const Copy& copy : copies) labels.insert(labels.end(), copy.labels.begin(), copy.labels.end());
  return labels;
}

TEST_CASE("loader: an epoch shows every sample once, its own pixels with its label, the last batch short") {
  const Dataset data = numbered(23);
  Loader loader(data, Split::train, batches_of(5));
  CHECK(loader.batches_per_epoch() == 5);
  loader.start({.seed = 1, .epoch = 0});
  const std::vector<Copy> copies = rest_of_epoch(loader);
  REQUIRE(copies.size() == 5);
  CHECK(copies[3].labels.size() == 5);
  CHECK(copies[4].labels.size() == 3);
  for (const Copy& copy : copies)
    for (std::size_t i = 0; i < copy.images.size(); ++i)
      REQUIRE(copy.images[i] == doctest::Approx(copy.labels[i / 16]).epsilon(1e-5));
  std::vector<std::int32_t> labels = labels_of(copies), all(23);
  std::iota(all.begin(), all.end(), 0);
  CHECK(labels != all);
  std::sort(labels.begin(), labels.end());
  CHECK(labels == all);
  Batch batch;
  CHECK(!loader.next(batch));
}

TEST_CASE("loader: a test split, or shuffle off, keeps the order; augmentation is for training only") {
  const Dataset data = numbered(10);
  DatasetSpec spec = batches_of(4);
  spec.augment.crop_padding = 2;
  spec.augment.flip = true;
  std::vector<std::int32_t> all(10);
  std::iota(all.begin(), all.end(), 0);

  Loader test(data, Split::test, spec);
  test.start({.seed = 9, .epoch = 4});
  const std::vector<Copy> tested = rest_of_epoch(test);
  CHECK(labels_of(tested) == all);
  for (const Copy& copy : tested)
    for (std::size_t i = 0; i < copy.images.size(); ++i)
      REQUIRE(copy.images[i] == doctest::Approx(copy.labels[i / 16]).epsilon(1e-5));

  spec.shuffle = false;
  Loader training(data, Split::train, spec);
  training.start({.seed = 9, .epoch = 4});
  const std::vector<Copy> trained = rest_of_epoch(training);
  CHECK(labels_of(trained) == all);
  CHECK(trained != tested);
}

TEST_CASE("loader: an image is augmented by seed, epoch and sample, wherever its batch stands") {
  const Dataset data = numbered(50);
  DatasetSpec spec = batches_of(8);
  spec.augment.crop_padding = 2;
  spec.augment.flip = true;
  const EpochOrder epoch{.seed = 11, .epoch = 3};
  Loader loader(data, Split::train, spec);
  loader.start(epoch);
  const Renderer renderer(data.train, kPlain);
  std::vector<float> wanted(16);
  for (const Copy& copy : rest_of_epoch(loader))
    for (std::size_t i = 0; i < copy.labels.size(); ++i) {
      const int sample = copy.labels[i];
      renderer.render(&data.train.pixels[static_cast<std::size_t>(sample) * 16],
                      draw_placement(epoch, sample, {-2, 2, -2, 2}, true), {}, wanted.data());
      REQUIRE(std::equal(wanted.begin(), wanted.end(),
                         copy.images.begin() + static_cast<std::ptrdiff_t>(i * 16)));
    }
}

TEST_CASE(
    "loader: crops are anywhere in training and in the centre in evaluation; colours change in training") {
  Dataset data = numbered(1);  // pixel p of the one image is p
  for (int p = 0; p < 16; ++p) data.train.pixels[static_cast<std::size_t>(p)] = static_cast<std::uint8_t>(p);
  data.test = data.train;
  DatasetSpec spec = batches_of(1);
  spec.augment.crop = 3;
  const auto first_pixel = [&](Split split, int epoch) {
    Loader loader(data, split, spec);
    loader.start({.seed = 1, .epoch = epoch});
    const std::vector<Copy> copies = rest_of_epoch(loader);
    REQUIRE(copies.size() == 1);
    REQUIRE(copies[0].images.size() == 9);
    return copies[0].images[0];
  };
  std::array<int, 16> seen{};
  for (int epoch = 0; epoch < 100; ++epoch)
    ++seen[static_cast<std::size_t>(std::lround(first_pixel(Split::train, epoch)))];
  for (std::size_t p = 0; p < 16; ++p) CHECK((seen[p] > 0) == (p % 4 < 2 && p < 8));
  CHECK(first_pixel(Split::test, 1) == 0);  // of one pixel too many, the last goes
  spec.augment.crop = 2;
  Loader centre(data, Split::test, spec);
  centre.start({});
  const std::vector<float> cut = rest_of_epoch(centre)[0].images;
  const std::vector<float> wanted = {5, 6, 9, 10};
  for (std::size_t i = 0; i < 4; ++i) CHECK(cut[i] == doctest::Approx(wanted[i]).epsilon(1e-5));

  spec.augment.crop = 3;
  spec.augment.brightness = 5;
  CHECK(first_pixel(Split::test, 1) == 0);
  const float brighter = first_pixel(Split::train, 1);
  CHECK(std::abs(brighter - std::round(brighter)) > 1e-3f);
  spec.standardize = "image";
  const Dataset whole = numbered(3);  // of one colour each: all zero
  Loader flat(whole, Split::test, spec);
  flat.start({});
  for (const Copy& copy : rest_of_epoch(flat)) CHECK(copy.images == std::vector<float>(9, 0.0f));
}

TEST_CASE("loader: an epoch begun at batch k, also in the middle of another, goes on as the whole one does") {
  const Dataset data = numbered(100);
  DatasetSpec spec = batches_of(8);
  spec.augment.crop_padding = 1;
  spec.augment.flip = true;
  Loader whole(data, Split::train, spec);
  whole.start({.seed = 2, .epoch = 7});
  const std::vector<Copy> copies = rest_of_epoch(whole);
  REQUIRE(copies.size() == 13);
  Loader loader(data, Split::train, spec);
  for (int first = 0; first <= 14; ++first) {
    loader.start({.seed = 2, .epoch = 1});
    Batch batch;
    for (int i = 0; i < first % 4; ++i) REQUIRE(loader.next(batch));
    loader.start({.seed = 2, .epoch = 7}, first);
    CHECK(rest_of_epoch(loader) == std::vector<Copy>(copies.begin() + std::min(first, 13), copies.end()));
  }
}

TEST_CASE("loader: a batch stays as it is while later ones are prepared, until the next call") {
  const Dataset data = numbered(200);
  Loader loader(data, Split::train, batches_of(10));
  loader.start({});
  for (Batch batch; loader.next(batch);) {
    const std::vector<float> before(batch.images.begin(), batch.images.end());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    REQUIRE(std::equal(before.begin(), before.end(), batch.images.begin()));
  }
}

TEST_CASE("loader: a mistake met in the background comes out of next(), after the good batches") {
  Dataset data = numbered(30);
  data.train.labels[25] = 200;
  data.train.classes = 100;
  DatasetSpec spec = batches_of(10);
  spec.shuffle = false;
  Loader loader(data, Split::train, spec);
  Batch batch;
  CHECK(!loader.next(batch));  // nothing was started
  loader.start({});
  CHECK(loader.next(batch));
  CHECK(loader.next(batch));
  CHECK_THROWS_WITH_AS(loader.next(batch), doctest::Contains("label 200 of image 25"), Error);
  CHECK_THROWS_AS(loader.next(batch), Error);
  loader.start({}, 0);
  CHECK(loader.next(batch));
}

TEST_CASE("loader: odd sizes") {
  const Dataset none = numbered(0), few = numbered(3);
  Loader empty(none, Split::train, batches_of(4));
  CHECK(empty.batches_per_epoch() == 0);
  empty.start({});
  CHECK(rest_of_epoch(empty).empty());
  Loader one(few, Split::train, batches_of(100));
  one.start({});
  const auto copies = rest_of_epoch(one);
  REQUIRE(copies.size() == 1);
  CHECK(copies[0].labels.size() == 3);
  Dataset wrong = numbered(3);
  wrong.train.pixels.pop_back();
  CHECK_THROWS_AS(Loader(wrong, Split::train, batches_of(4)), Error);
  CHECK_THROWS_AS(one.start({}, -1), Error);
}

TEST_CASE("loader: may be destroyed at any moment") {
  const Dataset data = numbered(250);
  for (int taken = 0; taken < 6; ++taken) {
    Loader loader(data, Split::train, batches_of(3));
    Batch batch;
    if (taken > 0) loader.start({});
    for (int i = 1; i < taken; ++i) REQUIRE(loader.next(batch));
  }
}

}  // namespace
}  // namespace qtrain::datasets
