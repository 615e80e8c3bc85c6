#pragma once
#include <span>
#include <string_view>

namespace qtrain::run {

/// The comment that opens a method's file: paper and equation.
struct MethodHeader {
  std::string_view group;  ///< weights, activations, ste, gradients, models, datasets, optimizers, schedules,
                           ///< labs
  std::string_view file;   ///< name of the file without its ending
  std::string_view text;   ///< lines without their slashes, each ended by a newline
};

/// Every one, by group; generated when the program is built (src/headers.cmake).
std::span<const MethodHeader> method_headers();

/// The text for the method `name` of `group`: of the file called `name`, else of the one with the longest
/// name that begins `name` (resnet20 is described in resnet.cpp); "" if there is none.
std::string_view header_of(std::string_view group, std::string_view name);

}  // namespace qtrain::run
