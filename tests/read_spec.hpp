#pragma once
#include <string>

#include "spec/reader.hpp"

namespace qtrain {

/// A `Spec` (with read(Reader)) out of YAML text; throws an Error with every mistake.
template <class Spec>
Spec read_spec(const std::string& text) {
  spec::Document document = spec::Document::parse(text, "test.yaml");
  Spec spec;
  spec.read(document.root());
  document.diagnostics().throw_if_any();
  return spec;
}

/// All mistakes of the same, as they would be printed; "" if there are none.
template <class Spec>
std::string mistakes_of(const std::string& text) {
  spec::Document document = spec::Document::parse(text, "test.yaml");
  Spec spec;
  spec.read(document.root());
  return document.diagnostics().text();
}

}  // namespace qtrain
