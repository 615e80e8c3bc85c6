// CIFAR-10 and CIFAR-100, binary version (A. Krizhevsky, "Learning multiple layers of features from tiny
// images", 2009).
//
//   CIFAR-10    label            pixels [3][32][32]      10,000 records a file, 5 files + 1
//   CIFAR-100   coarse  fine     pixels [3][32][32]      50,000 + 10,000 records; the fine label is used
#include "datasets/cifar.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "datasets/files.hpp"

namespace qtrain::datasets {
namespace {

Images empty_images(int count, int classes) {
  Images images{
      .count = 0, .channels = 3, .height = 32, .width = 32, .classes = classes, .pixels = {}, .labels = {}};
  images.pixels.reserve(static_cast<std::size_t>(count) * 3 * 32 * 32);
  images.labels.reserve(static_cast<std::size_t>(count));
  return images;
}

}  // namespace

void read_cifar(const std::filesystem::path& folder, const std::string& name, int records,
                std::span<const int> label_classes, Images& images) {
  const auto image = static_cast<std::size_t>(images.channels * images.height * images.width);
  const std::size_t record = label_classes.size() + image;
  const std::size_t size = static_cast<std::size_t>(records) * record;
  const File file = read_file(folder, name, size);
  file.check_size(size, fmt::format("{} records of {}", records, record));
  for (std::size_t start = 0; start < size; start += record) {
    for (std::size_t i = 0; i < label_classes.size(); ++i) {
      const int label = file.bytes[start + i];
      if (label >= label_classes[i])
        fail(ExitCode::data, "{}: the label of record {} is {}, expected 0 to {}; fetch the data set again",
             file.at(start + i), start / record, label, label_classes[i] - 1);
    }
    const std::uint8_t* pixels = file.bytes.data() + start + label_classes.size();
    images.labels.push_back(pixels[-1]);
    images.pixels.insert(images.pixels.end(), pixels, pixels + image);
  }
  images.count += records;
}

Dataset load_cifar10(const std::filesystem::path& folder, const DatasetSpec&) {
  const int classes[] = {10};
  Dataset dataset;
  dataset.normalization = {.mean = {0.4914f, 0.4822f, 0.4465f}, .deviation = {0.2023f, 0.1994f, 0.2010f}};
  dataset.train = empty_images(50000, 10);
  for (int i = 1; i <= 5; ++i)
    read_cifar(folder, fmt::format("data_batch_{}.bin", i), 10000, classes, dataset.train);
  dataset.test = empty_images(10000, 10);
  read_cifar(folder, "test_batch.bin", 10000, classes, dataset.test);
  return dataset;
}

Dataset load_cifar100(const std::filesystem::path& folder, const DatasetSpec&) {
  const int classes[] = {20, 100};
  Dataset dataset;
  dataset.normalization = {.mean = {0.5071f, 0.4865f, 0.4409f}, .deviation = {0.2673f, 0.2564f, 0.2762f}};
  dataset.train = empty_images(50000, 100);
  read_cifar(folder, "train.bin", 50000, classes, dataset.train);
  dataset.test = empty_images(10000, 100);
  read_cifar(folder, "test.bin", 10000, classes, dataset.test);
  return dataset;
}

}  // namespace qtrain::datasets
