#include "datasets/locate.hpp"

#include <algorithm>
#include <cstdlib>

#include "datasets/files.hpp"

namespace qtrain::datasets {

std::vector<std::filesystem::path> folders_to_search(const Entry& entry, const std::string& root) {
  using std::filesystem::path;
  std::vector<path> folders;
  const auto add = [&folders](const path& folder) {
    const path normal = folder.lexically_normal();
    if (std::find(folders.begin(), folders.end(), normal) == folders.end()) folders.push_back(normal);
  };
  path given = path(root).lexically_normal();
  if (!given.has_filename()) given = given.parent_path();  // "data/mnist/" means "data/mnist"
  const char* variable = std::getenv("QTRAIN_DATA");
  const path below = variable == nullptr ? "" : variable;
  if (!root.empty()) {
    add(given);
    add(given / entry.usual_folder);
  }
  if (!below.empty()) {
    if (!root.empty()) add(below / given);
    if (!root.empty()) add(below / given.filename());
    add(below / entry.usual_folder);
  }
  add(path("data") / entry.usual_folder);
  return folders;
}

std::filesystem::path locate(const Entry& entry, const std::string& root) {
  for (const std::filesystem::path& folder : folders_to_search(entry, root))
    if (!find_file(folder, entry.first_file).empty()) return folder;
  return {};
}

}  // namespace qtrain::datasets
