# Embeds the comment that opens each method file, so that `qtrain list` can print it: writes method_headers.cpp, which
# defines run/headers.hpp's method_headers(). Included after the room `run`; runs itself as a script when a file changes.

if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(method_patterns
    weights src/quant/weights/*.cpp
    activations src/quant/activations/*.cpp
    ste src/quant/ste/*.cpp
    gradients src/quant/gradients/*.cpp
    models src/model/*.cpp
    datasets src/datasets/*.cpp
    optimizers src/optim/optimizers/*.cpp
    schedules src/optim/schedules/*.cpp
    labs src/labs/*.cpp)
  set(method_files)
  set(method_list)
  while(method_patterns)
    list(POP_FRONT method_patterns group pattern)
    file(GLOB files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${pattern}")
    list(APPEND method_files ${files})
    foreach(file IN LISTS files)
      string(APPEND method_list "${group}\n${file}\n")
    endforeach()
  endwhile()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/method_files.txt CONTENT "${method_list}" @ONLY)
  add_custom_command(
    OUTPUT ${CMAKE_BINARY_DIR}/method_headers.cpp
    COMMAND ${CMAKE_COMMAND} -P ${CMAKE_CURRENT_LIST_FILE}
    DEPENDS ${method_files} ${CMAKE_CURRENT_LIST_FILE} ${CMAKE_BINARY_DIR}/method_files.txt
    WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
    COMMENT "Embedding method headers" VERBATIM)
  target_sources(run PRIVATE ${CMAKE_BINARY_DIR}/method_headers.cpp)
  return()
endif()

cmake_minimum_required(VERSION 3.22)

# The lines that begin with "//" at the start of `path`, without the slashes and the blank after them.
function(opening_comment path result)
  file(READ "${path}" rest)
  set(comment "")
  while("${rest}" MATCHES "^// ?([^\n]*)\n")
    string(APPEND comment "${CMAKE_MATCH_1}\n")
    string(FIND "${rest}" "\n" end)
    math(EXPR end "${end} + 1")
    string(SUBSTRING "${rest}" ${end} -1 rest)
  endwhile()
  set(${result} "${comment}" PARENT_SCOPE)
endfunction()

set(rows "")
file(STRINGS method_files.txt lines)
while(lines)
  list(POP_FRONT lines group file)
  opening_comment("${file}" comment)
  get_filename_component(name "${file}" NAME_WE)
  if(comment)
    string(APPEND rows "    {\"${group}\", \"${name}\", R\"header(${comment})header\"},\n")
  endif()
endwhile()
file(WRITE method_headers.cpp "#include \"run/headers.hpp\"

namespace qtrain::run {

std::span<const MethodHeader> method_headers() {
  static constexpr MethodHeader kHeaders[] = {
${rows}  };
  return kHeaders;
}

}  // namespace qtrain::run
")
