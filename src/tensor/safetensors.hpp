#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tensor/shape.hpp"

namespace qtrain {

enum class Dtype { f32, f64, i64, u8 };
std::size_t byte_size(Dtype dtype);

/// One named array of a safetensors file: little-endian, row major.
struct NamedTensor {
  std::string name;
  Dtype dtype = Dtype::f32;
  Shape shape;
  std::vector<std::byte> bytes;

  static NamedTensor of(std::string name, Shape shape, std::span<const float> values);
  static NamedTensor of(std::string name, Shape shape, std::span<const double> values);
  static NamedTensor of(std::string name, Shape shape, std::span<const std::int64_t> values);
  /// The values, if this is f32; otherwise an Error (data) naming tensor and type. f64 and i64 likewise.
  std::vector<float> floats() const;
  std::vector<double> doubles() const;
  std::vector<std::int64_t> integers() const;
};

/// A safetensors file: tensors in order, and string metadata.
struct SafetensorsFile {
  std::vector<NamedTensor> tensors;
  std::map<std::string, std::string> metadata;

  const NamedTensor* find(const std::string& name) const;  ///< nullptr when absent
};

/// Written whole or not at all (base/file.hpp). Names must be unique.
void save_safetensors(const std::filesystem::path& path, const SafetensorsFile& file);

/// Rejects, with an Error (data) naming file and offset: a truncated file, a header that is no JSON object of
/// the format, overlapping or out-of-range offsets, sizes that disagree with shape and type, unknown types.
SafetensorsFile load_safetensors(const std::filesystem::path& path);

}  // namespace qtrain
