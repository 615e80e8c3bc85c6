#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qtrain {

/// Replaces `path` as a whole: temporary name in the same folder, write, fsync, rename, fsync of the folder.
/// On failure the file before it is untouched, the temporary is removed, and an Error (failed) says what
/// happened and where.
void write_whole(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_whole(const std::filesystem::path& path, std::string_view text);

/// All bytes of a file; an Error (failed) names the file and the system's reason.
std::string read_whole(const std::filesystem::path& path);

}  // namespace qtrain
