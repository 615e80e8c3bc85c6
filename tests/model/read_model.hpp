#pragma once
#include <string>

#include "base/error.hpp"
#include "model/graph.hpp"
#include "spec/reader.hpp"

namespace qtrain::model {

/// Reads a `model:` section written as YAML; what was wrong with it goes to `mistakes`.
inline Graph read_model(const std::string& yaml, const Shape& input, int classes, std::string& mistakes) {
  spec::Document document = spec::Document::parse(yaml, "test.yaml");
  ModelSpec model;
  Graph graph = model.read(document.root(), input, classes);
  mistakes = document.diagnostics().text();
  return graph;
}

/// Same, for a section that must be right: throws otherwise.
inline Graph read_model(const std::string& yaml, const Shape& input, int classes = 10) {
  std::string mistakes;
  Graph graph = read_model(yaml, input, classes, mistakes);
  if (!mistakes.empty()) fail(ExitCode::usage, "{}", mistakes);
  return graph;
}

/// What is said against a `model:` section for images of `input`; "" when nothing is.
inline std::string mistakes_of(const std::string& yaml, const Shape& input) {
  std::string mistakes;
  read_model(yaml, input, 10, mistakes);
  return mistakes;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace qtrain::model
