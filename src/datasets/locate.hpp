#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "datasets/dataset.hpp"

namespace qtrain::datasets {

/// Where the files of `entry` are searched for, in order, U being its usual folder: root and root/U if a root
/// is given, else $QTRAIN_DATA/U and data/U.
std::vector<std::filesystem::path> folders_to_search(const Entry& entry, const std::string& root);

/// The first of them that holds the set's first file; empty if none does.
std::filesystem::path locate(const Entry& entry, const std::string& root);

}  // namespace qtrain::datasets
