// IDX, the format of MNIST (Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits") and
// of Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017, arXiv:1708.07747). All header numbers are 32-bit,
// big-endian.
//
//   images   0x00000803  count  height  width   pixels [count][height][width], u8, 0 = background
//   labels   0x00000801  count                  labels [count], u8
#include "datasets/idx.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "datasets/dataset.hpp"
#include "datasets/files.hpp"

namespace qtrain::datasets {
namespace {

struct HeaderField {
  const char* what;
  std::uint32_t expected;
};

/// Error (data) unless the file starts with these numbers.
void check_header(const File& file, std::span<const HeaderField> fields) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (file.bytes.size() < 4 * i + 4)
      fail(ExitCode::data,
           "{}: the file ends here, expected an IDX header of {} bytes; fetch the data set again",
           file.at(file.bytes.size()), 4 * fields.size());
    const std::uint8_t* p = file.bytes.data() + 4 * i;
    const std::uint32_t found =
        std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
    if (found != fields[i].expected)
      fail(ExitCode::data, "{}: {} is {}, expected {}; is this the right file?", file.at(4 * i),
           fields[i].what, found, fields[i].expected);
  }
}

Dataset load_idx(const std::filesystem::path& folder, const Normalization& normalization) {
  const auto split = [&folder](const std::string& prefix, int count) {
    Images images{
        .count = count, .channels = 1, .height = 28, .width = 28, .classes = 10, .pixels = {}, .labels = {}};
    images.pixels = read_idx_images(folder, prefix + "-images-idx3-ubyte", {count, 28, 28});
    images.labels = read_idx_labels(folder, prefix + "-labels-idx1-ubyte", count, 10);
    return images;
  };
  Dataset dataset;
  dataset.train = split("train", 60000);
  dataset.test = split("t10k", 10000);
  dataset.normalization = normalization;
  return dataset;
}

}  // namespace

std::vector<std::uint8_t> read_idx_images(const std::filesystem::path& folder, const std::string& name,
                                          const IdxImages& expected) {
  const auto count = static_cast<std::uint32_t>(expected.count);
  const auto height = static_cast<std::uint32_t>(expected.height),
             width = static_cast<std::uint32_t>(expected.width);
  const HeaderField header[] = {{"the magic number", 0x803},
                                {"the number of images", count},
                                {"the image height", height},
                                {"the image width", width}};
  const std::size_t size = 16 + std::size_t{count} * height * width;
  File file = read_file(folder, name, size);
  check_header(file, header);
  file.check_size(size, fmt::format("a header of 16 and {} images of {}x{}", count, height, width));
  file.bytes.erase(file.bytes.begin(), file.bytes.begin() + 16);
  return std::move(file.bytes);
}

std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& folder, const std::string& name,
                                          int count, int classes) {
  const HeaderField header[] = {{"the magic number", 0x801},
                                {"the number of labels", static_cast<std::uint32_t>(count)}};
  const std::size_t size = 8 + static_cast<std::size_t>(count);
  File file = read_file(folder, name, size);
  check_header(file, header);
  file.check_size(size, fmt::format("a header of 8 and {} labels", count));
  for (std::size_t i = 8; i < size; ++i)
    if (file.bytes[i] >= classes)
      fail(ExitCode::data, "{}: label {} is {}, expected 0 to {}; fetch the data set again", file.at(i),
           i - 8, file.bytes[i], classes - 1);
  file.bytes.erase(file.bytes.begin(), file.bytes.begin() + 8);
  return std::move(file.bytes);
}

Dataset load_mnist(const std::filesystem::path& folder, const DatasetSpec&) {
  return load_idx(folder, {.mean = {0.1307f}, .deviation = {0.3081f}});
}

Dataset load_fashion_mnist(const std::filesystem::path& folder, const DatasetSpec&) {
  return load_idx(folder, {.mean = {0.2860f}, .deviation = {0.3530f}});
}

}  // namespace qtrain::datasets
