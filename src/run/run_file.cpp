#include "run/run_file.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <memory>
#include <utility>

#include "base/error.hpp"
#include "run/machine.hpp"

namespace qtrain::run {
namespace {

constexpr const char* kDigest = "xxh3";
constexpr const char* kProgram = "program";

std::string digest_of(const SafetensorsFile& file) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_64bits_reset(state.get());
  for (const NamedTensor& tensor : file.tensors)
    XXH3_64bits_update(state.get(), tensor.bytes.data(), tensor.bytes.size());
  return fmt::format("{:016x}", XXH3_64bits_digest(state.get()));
}

}  // namespace

void save_run_file(const std::filesystem::path& path, SafetensorsFile file) {
  file.metadata[kDigest] = digest_of(file);
  save_safetensors(path, file);
}

void sign_by_program(SafetensorsFile& file) { file.metadata[kProgram] = program_digest(); }

SafetensorsFile load_run_file(const std::filesystem::path& path) {
  SafetensorsFile file = load_safetensors(path);
  const auto found = file.metadata.find(kDigest);
  if (found != file.metadata.end() && found->second != digest_of(file))
    fail(ExitCode::data,
         "{} is damaged: its tensors are not those that were saved; take a copy of it or start "
         "the run anew",
         path.string());
  return file;
}

bool is_of_another_program(const SafetensorsFile& file) {
  const auto found = file.metadata.find(kProgram);
  return found != file.metadata.end() && found->second != program_digest();
}

}  // namespace qtrain::run
