#include "datasets/files.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <span>

#include "base/cast.hpp"
#include "base/error.hpp"

namespace qtrain::datasets {
namespace {

constexpr const char* kRemedy = "fetch the data set again";

bool is_gzip(const std::filesystem::path& path) { return path.extension() == ".gz"; }

/// The first bytes of a regular file, `most` at most.
std::vector<std::uint8_t> read_start(const std::filesystem::path& path, std::size_t most) {
  std::error_code problem;
  const std::uintmax_t size = std::filesystem::file_size(path, problem);
  if (problem) fail(ExitCode::data, "{}: cannot be read: {}", path.string(), problem.message());
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(std::min<std::uintmax_t>(size, most)));
  std::ifstream stream(path, std::ios::binary);
  stream.read(reinterpret_cast<char*>(bytes.data()), narrow<std::streamsize>(bytes.size()));
  if (!stream) fail(ExitCode::data, "{}: cannot be read: {}", path.string(), std::strerror(errno));
  return bytes;
}

/// Owner of zlib's state for one gzip stream.
class Inflater {
 public:
  explicit Inflater(std::span<std::uint8_t> in, std::span<std::uint8_t> out) {
    stream_.next_in = in.data();
    stream_.avail_in = narrow<uInt>(in.size());
    stream_.next_out = out.data();
    stream_.avail_out = narrow<uInt>(out.size());
    const int status = inflateInit2(&stream_, 16 + MAX_WBITS);  // 16: a gzip header and trailer are required
    QTRAIN_CHECK(status == Z_OK, "zlib cannot start (status {})", status);
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  int run() { return inflate(&stream_, Z_FINISH); }
  const z_stream& state() const { return stream_; }

 private:
  z_stream stream_{};
};

/// Decompresses to at most `most` bytes.
std::vector<std::uint8_t> decompress(const std::string& path, std::span<std::uint8_t> compressed,
                                     std::size_t most) {
  std::vector<std::uint8_t> bytes(most);
  Inflater inflater(compressed, bytes);
  const int status = inflater.run();
  const z_stream& state = inflater.state();
  const std::string place =
      fmt::format("{}: compressed byte {} (decompressed byte {})", path, state.total_in, state.total_out);
  if (status == Z_BUF_ERROR && state.avail_out > 0)
    fail(ExitCode::data, "{}: the gzip data end here, truncated; {}", place, kRemedy);
  if (status != Z_STREAM_END && status != Z_BUF_ERROR)
    fail(ExitCode::data, "{}: the gzip data are corrupt ({}); {}", place,
         state.msg ? state.msg : "bad stream", kRemedy);
  if (status == Z_STREAM_END && state.avail_in > 0)
    fail(ExitCode::data, "{}: {} bytes follow the end of the gzip data, expected none; {}", place,
         state.avail_in, kRemedy);
  bytes.resize(state.total_out);
  return bytes;
}

}  // namespace

std::string File::at(std::size_t offset) const {
  return fmt::format("{}: {}byte {}", path.string(), is_gzip(path) ? "decompressed " : "", offset);
}

void File::check_size(std::size_t expected, const std::string& layout) const {
  if (bytes.size() < expected)
    fail(ExitCode::data, "{}: the file ends here, expected {} bytes ({}); {}", at(bytes.size()), expected,
         layout, kRemedy);
  if (bytes.size() > expected)
    fail(ExitCode::data, "{}: the file goes on, expected {} bytes ({}); {}", at(expected), expected, layout,
         kRemedy);
}

std::filesystem::path find_file(const std::filesystem::path& folder, const std::string& name) {
  std::error_code ignored;
  for (const std::filesystem::path& path : {folder / name, folder / (name + ".gz")})
    if (std::filesystem::is_regular_file(path, ignored)) return path;
  return {};
}

File read_file(const std::filesystem::path& folder, const std::string& name, std::size_t expected) {
  const std::filesystem::path path = find_file(folder, name);
  if (path.empty())
    fail(ExitCode::data, "{}: neither {} nor {}.gz is there, though other files of the set are; {}",
         folder.string(), name, name, kRemedy);
  if (!is_gzip(path)) return {path, read_start(path, expected + 1)};
  // Deflate adds at most 5 bytes to each 16 kB; the rest of the allowance is for the gzip header.
  std::vector<std::uint8_t> compressed = read_start(path, expected + expected / 1000 + 65536);
  return {path, decompress(path.string(), compressed, expected + 1)};
}

}  // namespace qtrain::datasets
