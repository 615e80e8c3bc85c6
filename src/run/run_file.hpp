#pragma once
#include <filesystem>

#include "tensor/safetensors.hpp"

namespace qtrain::run {

/// Saves a file of a run with the digest of its tensors in its metadata.
void save_run_file(const std::filesystem::path& path, SafetensorsFile file);

/// Loads a safetensors file; where it has a digest, an Error (data) unless the tensors have it.
SafetensorsFile load_run_file(const std::filesystem::path& path);

/// Puts the digest of this program into the metadata.
void sign_by_program(SafetensorsFile& file);
/// Whether another program, or the same of other sources, put its own there; false where none did.
bool is_of_another_program(const SafetensorsFile& file);

}  // namespace qtrain::run
