#pragma once
#include <filesystem>

#include "tensor/safetensors.hpp"

namespace qtrain::run {

/// Saves a file of a run with the digest of its tensors and that of this program in its metadata.
void save_run_file(const std::filesystem::path& path, SafetensorsFile file);

/// Loads a safetensors file; where it has a digest, an Error (data) unless the tensors have it.
SafetensorsFile load_run_file(const std::filesystem::path& path);

/// Whether another program, or the same of other sources, wrote the file; false where it does not say.
bool is_of_another_program(const SafetensorsFile& file);

}  // namespace qtrain::run
