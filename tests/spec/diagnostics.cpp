#include "spec/diagnostics.hpp"

#include <doctest/doctest.h>

#include "base/error.hpp"

namespace qtrain::spec {

TEST_CASE("diagnostics: lines stand in order of place, overrides last in order of arrival") {
  Diagnostics diagnostics;
  CHECK(diagnostics.empty());
  CHECK_NOTHROW(diagnostics.throw_if_any());
  diagnostics.add({"b=2", 0, 0}, "b", "second word");
  diagnostics.add({"f.yaml", 10, 3}, "x.y", "tenth line");
  diagnostics.add({"a=1", 0, 0}, "a", "first word");
  diagnostics.add({"f.yaml", 2, 9}, "z", "second line");
  diagnostics.add({"f.yaml", 2, 1}, "", "no path");
  CHECK(diagnostics.text() ==
        "f.yaml:2:1: no path\n"
        "f.yaml:2:9: z: second line\n"
        "f.yaml:10:3: x.y: tenth line\n"
        "override 'b=2': b: second word\n"
        "override 'a=1': a: first word");
}

TEST_CASE("diagnostics: a mistake found twice is told once, and on one line") {
  Diagnostics diagnostics;
  diagnostics.add({"f.yaml", 1, 1}, "a\nb", "is\tbad");
  diagnostics.add({"f.yaml", 1, 1}, "a\nb", "is\tbad");
  CHECK(diagnostics.text() == "f.yaml:1:1: a?b: is?bad");
}

TEST_CASE("diagnostics: warnings are no mistakes, and each is told once") {
  Diagnostics diagnostics;
  for (int i = 0; i < 2; ++i) diagnostics.warn({"a=1", 0, 0}, "a", "may\nbe meant");
  diagnostics.warn({"f.yaml", 2, 1}, "b", "may not");
  CHECK(diagnostics.warnings() ==
        std::vector<std::string>{"override 'a=1': a: may?be meant", "f.yaml:2:1: b: may not"});
  CHECK(diagnostics.empty());
  CHECK(diagnostics.text() == "");
  CHECK_NOTHROW(diagnostics.throw_if_any());
}

TEST_CASE("diagnostics: of very many the first are told, and how many more there are") {
  Diagnostics diagnostics;
  const auto add = [&](int line) { diagnostics.add({"f.yaml", line, 1}, "a", "is bad"); };
  for (int line = 2; line <= 21; ++line) add(line);
  const std::string twenty = diagnostics.text();
  CHECK(twenty.ends_with("f.yaml:21:1: a: is bad"));
  for (int line = 22; line <= 5021; ++line) add(line);
  CHECK(diagnostics.text() == twenty + "\nand 5000 more");
}

TEST_CASE("diagnostics: the error carries all of them and exit code 2") {
  Diagnostics diagnostics;
  diagnostics.add({"f.yaml", 1, 1}, "a", "is bad");
  diagnostics.add({"f.yaml", 2, 1}, "b", "is worse");
  try {
    diagnostics.throw_if_any();
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    CHECK(std::string(error.what()) == "f.yaml:1:1: a: is bad\nf.yaml:2:1: b: is worse");
  }
}

TEST_CASE("nearest: only what may have been meant") {
  const std::vector<std::string> keys{"lambda", "sgd", "batch_size", "learning_rate", "clipped_relu", "relu"};
  CHECK(nearest("lamda", keys) == "lambda");
  CHECK(nearest("sdg", keys) == "sgd");
  CHECK(nearest("SGD", keys) == "sgd");
  CHECK(nearest("batch-size", keys) == "batch_size");
  CHECK(nearest("learning_reat", keys) == "learning_rate");
  CHECK(nearest("cliped_relu", keys) == "clipped_relu");
  CHECK(nearest("momentum", keys) == "");
  CHECK(nearest("x", keys) == "");
  CHECK(nearest("", keys) == "");
  CHECK(nearest("lambda", {}) == "");
}

}  // namespace qtrain::spec
