// War and Peace, L. Tolstoy, in English, character by character, as in Karpathy, Johnson, Li, "Visualizing
// and understanding recurrent networks", 2015 (arXiv:1506.02078), and Hou, Yao, Kwok, ICLR 2017
// (arXiv:1611.01600): the file warpeace_input.txt of 3,258,246 bytes.
//
//   token   a byte of the file as it is (the byte order mark at its start and carriage returns included),
//           numbered 0 to 86 in the order of the 87 byte values that occur
//   splits  first 80 % train, next 10 % validation, last 10 % test
#include "datasets/war_and_peace.hpp"

#include <fmt/format.h>

#include <array>

#include "base/error.hpp"
#include "datasets/files.hpp"

namespace qtrain::datasets {

Text read_characters(const std::filesystem::path& folder, const std::string& name,
                     const Characters& expected) {
  const File file = read_file(folder, name, expected.bytes);
  file.check_size(expected.bytes, "one a character");
  std::array<bool, 256> occurs{};
  for (const std::uint8_t byte : file.bytes) occurs[byte] = true;
  std::array<std::uint16_t, 256> numbers{};
  int count = 0;
  for (std::size_t byte = 0; byte < occurs.size(); ++byte)
    if (occurs[byte]) numbers[byte] = static_cast<std::uint16_t>(count++);
  if (count != expected.vocabulary)
    fail(ExitCode::data, "{}: {} distinct bytes occur, expected {}; fetch the data set again",
         file.path.string(), count, expected.vocabulary);
  Text text{.vocabulary = count, .tokens = {}};
  text.tokens.reserve(file.bytes.size());
  for (const std::uint8_t byte : file.bytes) text.tokens.push_back(numbers[byte]);
  return text;
}

Dataset cut_text(const Text& text, const std::string& evaluate) {
  const std::size_t size = text.tokens.size();
  const auto at = [&](std::size_t tenths) {
    return text.tokens.begin() + static_cast<std::ptrdiff_t>(size * tenths / 10);
  };
  const std::size_t from = evaluate == "test" ? 9 : 8;
  Dataset dataset;
  dataset.train_text = {.vocabulary = text.vocabulary, .tokens = {at(0), at(8)}};
  dataset.test_text = {.vocabulary = text.vocabulary, .tokens = {at(from), at(from + 1)}};
  return dataset;
}

Dataset load_war_and_peace(const std::filesystem::path& folder, const DatasetSpec& spec) {
  const Characters expected{.bytes = kWarAndPeaceBytes, .vocabulary = 87};
  return cut_text(read_characters(folder, kWarAndPeaceFile, expected), spec.evaluate);
}

}  // namespace qtrain::datasets
