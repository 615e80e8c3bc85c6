#pragma once
#include <cstdint>
#include <string>

namespace qtrain::run {

/// The version that CMakeLists.txt states.
extern const char* const kVersion;
/// Digest of the program file that runs, so that a changed quantizer is another program; "" where the system
/// does not show it.
const std::string& program_digest();

std::string host_name();
/// Model name of the processor, "" if the system does not say.
std::string cpu_model();
/// Largest resident memory of this process so far.
std::int64_t peak_memory_bytes();
/// Float32 multiply-adds a second that `threads` threads reach in registers, measured in some milliseconds.
double measure_peak(int threads);

}  // namespace qtrain::run
