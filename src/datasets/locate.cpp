#include "datasets/locate.hpp"

#include <cstdlib>

#include "datasets/files.hpp"

namespace qtrain::datasets {

std::vector<std::filesystem::path> folders_to_search(const Entry& entry, const std::string& root) {
  using std::filesystem::path;
  if (!root.empty()) {
    path given = path(root).lexically_normal();
    if (!given.has_filename()) given = given.parent_path();  // "data/mnist/" means "data/mnist"
    return {given, given / entry.usual_folder};
  }
  std::vector<path> folders;
  const char* below = std::getenv("QTRAIN_DATA");
  if (below != nullptr && *below != '\0')
    folders.push_back((path(below) / entry.usual_folder).lexically_normal());
  folders.push_back(path("data") / entry.usual_folder);
  return folders;
}

std::filesystem::path locate(const Entry& entry, const std::string& root) {
  for (const std::filesystem::path& folder : folders_to_search(entry, root))
    if (!find_file(folder, entry.first_file).empty()) return folder;
  return {};
}

}  // namespace qtrain::datasets
