#include "tensor/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "base/error.hpp"
#include "base/file.hpp"

// The format (github.com/huggingface/safetensors): 8 bytes N, little-endian; N bytes of JSON, an object
//   {"NAME": {"dtype": "F32", "shape": [16, 3], "data_offsets": [BEGIN, END]}, ..., "__metadata__": {"KEY":
//   "TEXT"}}
// padded with spaces; then the data, which the tensors fill without gap or overlap. Offsets count from its
// start.
namespace qtrain {
namespace {

using nlohmann::ordered_json;

static_assert(std::endian::native == std::endian::little, "values are stored as they lie in memory");

constexpr std::size_t kPrefix = 8;
constexpr const char* kMetadata = "__metadata__";
constexpr int kMostNested = 3;  // header, tensor, its shape; bounds the recursion of whoever prints a value

struct DtypeName {
  Dtype dtype;
  const char* name;
  std::size_t bytes;
};
constexpr std::array<DtypeName, 4> kDtypes{
    {{Dtype::f32, "F32", 4}, {Dtype::f64, "F64", 8}, {Dtype::i64, "I64", 8}, {Dtype::u8, "U8", 1}}};

const DtypeName& entry(Dtype dtype) {
  return *std::ranges::find_if(kDtypes, [dtype](const DtypeName& known) { return known.dtype == dtype; });
}

template <class T>
NamedTensor tensor_of(std::string name, Dtype dtype, Shape shape, std::span<const T> values) {
  QTRAIN_CHECK(element_count(shape) == values.size(), "tensor {} of shape {} from {} values", name,
               to_string(shape), values.size());
  const auto bytes = std::as_bytes(values);
  return {std::move(name), dtype, std::move(shape), {bytes.begin(), bytes.end()}};
}

template <class T>
std::vector<T> values_of(const NamedTensor& tensor, Dtype dtype) {
  if (tensor.dtype != dtype)
    fail(ExitCode::data, "tensor {} holds {}, must hold {}; use the file this program wrote for the purpose",
         tensor.name, entry(tensor.dtype).name, entry(dtype).name);
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), values.size() * sizeof(T));
  return values;
}

/// Reads one file; every mistake is an Error (data) that names the file and the byte where it lies.
class Loader {
 public:
  explicit Loader(const std::filesystem::path& path) : path_(path), content_(read_whole(path)) {}

  SafetensorsFile load() {
    const std::string_view text = find_header();
    data_start_ = kPrefix + text.size();
    const ordered_json header = parse(text);
    SafetensorsFile file;
    for (const auto& item : header.items()) {
      if (item.key() == kMetadata)
        file.metadata = metadata(item.value());
      else
        places_.push_back(place(item.key(), item.value()));
    }
    // The file's order is that of the data; tensors without elements keep the header's.
    std::ranges::stable_sort(places_, {}, [](const Place& p) { return std::pair(p.begin, p.end); });
    check_cover();
    for (Place& p : places_) file.tensors.push_back(read(p));
    return file;
  }

 private:
  struct Place {
    std::string name;
    Dtype dtype;
    Shape shape;
    std::size_t begin;
    std::size_t end;
  };

  template <class... Args>
  [[noreturn]] void reject(std::size_t offset, fmt::format_string<Args...> format, Args&&... args) const {
    fail(ExitCode::data, "{}: byte {}: {}; the file is damaged or no safetensors file, replace it",
         path_.string(), offset, fmt::format(format, std::forward<Args>(args)...));
  }

  std::string_view find_header() const {
    if (content_.size() < kPrefix) reject(0, "the file has {} bytes, must have at least 8", content_.size());
    std::uint64_t size = 0;
    std::memcpy(&size, content_.data(), kPrefix);
    if (size > content_.size() - kPrefix)
      reject(0, "the header is said to have {} bytes, only {} follow", size, content_.size() - kPrefix);
    const std::string_view header(content_.data() + kPrefix, size);
    if (header.empty() || header.front() != '{') reject(kPrefix, "the header must start with '{{'");
    return header;
  }

  // The parser itself would keep the last of two equal keys, silently.
  ordered_json parse(std::string_view header) const {
    std::vector<std::set<std::string>> keys;
    const auto check = [&](int depth, ordered_json::parse_event_t event, ordered_json& value) {
      if (depth > kMostNested) reject(kPrefix, "the header is nested deeper than the format");
      if (event == ordered_json::parse_event_t::object_start) keys.emplace_back();
      if (event == ordered_json::parse_event_t::object_end) keys.pop_back();
      if (event == ordered_json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
        reject(kPrefix, "the header has the key {} twice", value.dump());
      return true;
    };
    try {
      return ordered_json::parse(header, check);
    } catch (const ordered_json::parse_error& error) {
      reject(kPrefix + error.byte, "the header is no JSON");
    } catch (const ordered_json::exception&) {  // a number beyond the range of double
      reject(kPrefix, "the header holds what JSON cannot");
    }
  }

  std::map<std::string, std::string> metadata(const ordered_json& object) const {
    std::map<std::string, std::string> result;
    if (!object.is_object()) reject(kPrefix, "{} must be an object", kMetadata);
    for (const auto& item : object.items()) {
      if (!item.value().is_string()) reject(kPrefix, "{} '{}' must be a string", kMetadata, item.key());
      result[item.key()] = item.value().get<std::string>();
    }
    return result;
  }

  Place place(const std::string& name, const ordered_json& object) const {
    const auto is_list = [&object](const char* key) {
      return object.contains(key) && object[key].is_array();
    };
    if (!object.is_object() || !object.contains("dtype") || !is_list("shape") || !is_list("data_offsets"))
      reject(kPrefix, "tensor '{}' must have dtype, shape and data_offsets", name);
    const ordered_json& dtype = object["dtype"];
    const auto known = std::ranges::find_if(kDtypes, [&](const DtypeName& d) { return dtype == d.name; });
    if (known == kDtypes.end())
      reject(kPrefix, "tensor '{}' has dtype {}, must be F32, F64, I64 or U8", name, dtype.dump());
    Shape shape;
    std::int64_t bytes = static_cast<std::int64_t>(known->bytes);
    for (const ordered_json& extent : object["shape"]) {
      shape.push_back(natural(name, extent));
      if (__builtin_mul_overflow(bytes, shape.back(), &bytes))
        reject(kPrefix, "tensor '{}' has the impossible shape {}", name, object["shape"].dump());
    }
    const ordered_json& offsets = object["data_offsets"];
    if (offsets.size() != 2) reject(kPrefix, "tensor '{}' must have two data_offsets", name);
    const std::int64_t begin = natural(name, offsets[0]);
    const std::int64_t end = natural(name, offsets[1]);
    if (begin > end || end - begin != bytes)
      reject(kPrefix, "tensor '{}' has data_offsets {}, but {} of shape {} takes {} bytes", name,
             offsets.dump(), known->name, object["shape"].dump(), bytes);
    return {name, known->dtype, std::move(shape), static_cast<std::size_t>(begin),
            static_cast<std::size_t>(end)};
  }

  std::int64_t natural(const std::string& name, const ordered_json& value) const {
    constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMost)
      reject(kPrefix, "tensor '{}' has {} as a size or offset, must be an integer >= 0", name, value.dump());
    return value.get<std::int64_t>();
  }

  void check_cover() const {
    const std::size_t size = content_.size() - data_start_;
    std::size_t end = 0;
    for (const Place& p : places_) {
      if (p.begin != end)
        reject(data_start_ + std::min(p.begin, size),
               "tensor '{}' starts at data offset {}, must start at {}", p.name, p.begin, end);
      end = p.end;
    }
    if (end != size)
      reject(content_.size(), "the tensors take {} bytes of data, the file holds {}", end, size);
  }

  NamedTensor read(Place& place) const {
    const auto data =
        std::as_bytes(std::span(content_)).subspan(data_start_ + place.begin, place.end - place.begin);
    return {std::move(place.name), place.dtype, std::move(place.shape), {data.begin(), data.end()}};
  }

  const std::filesystem::path& path_;
  const std::string content_;
  std::size_t data_start_ = 0;
  std::vector<Place> places_;
};

ordered_json header_of(const SafetensorsFile& file) {
  ordered_json header = ordered_json::object();
  if (!file.metadata.empty()) header[kMetadata] = file.metadata;
  std::set<std::string_view> names{kMetadata};
  std::size_t end = 0;
  for (const NamedTensor& tensor : file.tensors) {
    QTRAIN_CHECK(names.insert(tensor.name).second, "two tensors are named {}", tensor.name);
    QTRAIN_CHECK(tensor.bytes.size() == element_count(tensor.shape) * byte_size(tensor.dtype),
                 "tensor {} of shape {} has {} bytes", tensor.name, to_string(tensor.shape),
                 tensor.bytes.size());
    const std::size_t begin = end;
    end += tensor.bytes.size();
    header[tensor.name] = {
        {"dtype", entry(tensor.dtype).name}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
  }
  return header;
}

std::size_t data_size(const SafetensorsFile& file) {
  std::size_t size = 0;
  for (const NamedTensor& tensor : file.tensors) size += tensor.bytes.size();
  return size;
}

}  // namespace

std::size_t byte_size(Dtype dtype) { return entry(dtype).bytes; }

NamedTensor NamedTensor::of(std::string name, Shape shape, std::span<const float> values) {
  return tensor_of(std::move(name), Dtype::f32, std::move(shape), values);
}
NamedTensor NamedTensor::of(std::string name, Shape shape, std::span<const double> values) {
  return tensor_of(std::move(name), Dtype::f64, std::move(shape), values);
}
NamedTensor NamedTensor::of(std::string name, Shape shape, std::span<const std::int64_t> values) {
  return tensor_of(std::move(name), Dtype::i64, std::move(shape), values);
}

std::vector<float> NamedTensor::floats() const { return values_of<float>(*this, Dtype::f32); }
std::vector<double> NamedTensor::doubles() const { return values_of<double>(*this, Dtype::f64); }
std::vector<std::int64_t> NamedTensor::integers() const { return values_of<std::int64_t>(*this, Dtype::i64); }

const NamedTensor* SafetensorsFile::find(const std::string& name) const {
  const auto found =
      std::ranges::find_if(tensors, [&](const NamedTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

void save_safetensors(const std::filesystem::path& path, const SafetensorsFile& file) {
  std::string header;
  try {
    header = header_of(file).dump();
  } catch (const ordered_json::type_error&) {
    fail(ExitCode::failed, "cannot save {}: a tensor's name or the metadata is no UTF-8 text; rename it",
         path.string());
  }
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = header.size();
  std::vector<std::byte> content;
  content.reserve(kPrefix + header.size() + data_size(file));
  const auto append = [&content](std::span<const std::byte> bytes) {
    content.insert(content.end(), bytes.begin(), bytes.end());
  };
  append(std::as_bytes(std::span(&size, 1)));
  append(std::as_bytes(std::span(header)));
  for (const NamedTensor& tensor : file.tensors) append(tensor.bytes);
  write_whole(path, content);
}

SafetensorsFile load_safetensors(const std::filesystem::path& path) { return Loader(path).load(); }

}  // namespace qtrain
