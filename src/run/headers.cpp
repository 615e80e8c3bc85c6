#include "run/headers.hpp"

namespace qtrain::run {

std::string_view header_of(std::string_view group, std::string_view name) {
  const MethodHeader* best = nullptr;
  for (const MethodHeader& header : method_headers()) {
    if (header.group != group || !name.starts_with(header.file)) continue;
    if (best == nullptr || header.file.size() > best->file.size()) best = &header;
  }
  return best == nullptr ? std::string_view{} : best->text;
}

}  // namespace qtrain::run
