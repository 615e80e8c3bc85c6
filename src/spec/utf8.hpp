#pragma once
#include <cstddef>
#include <string_view>

namespace qtrain::spec {

/// Position of the first byte that is not part of well-formed UTF-8 (Unicode 15, table 3-7) or is a control
/// character other than tab, line feed and carriage return; the size when there is none.
std::size_t first_non_text(std::string_view text);

}  // namespace qtrain::spec
