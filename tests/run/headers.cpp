// Every registered method can be listed with its equation.
#include "run/headers.hpp"

#include <doctest/doctest.h>

#include <string>

#include "labs/lab.hpp"
#include "optim/optimizer.hpp"
#include "quant/activation.hpp"
#include "quant/gradient.hpp"
#include "quant/weight_method.hpp"

namespace qtrain::run {
namespace {

/// An equation stands on a line of its own, two blanks in.
template <class Table>
void check_equations(const char* group, const Table& table) {
  for (const auto& entry : table) {
    const std::string name = entry.name;
    CAPTURE(group);
    CAPTURE(name);
    const std::string_view header = header_of(group, name);
    const auto line = header.find("\n\n  ");
    REQUIRE(line != std::string_view::npos);
    CHECK(header.find('=', line) != std::string_view::npos);
    CHECK(header.find("//") == std::string_view::npos);
    CHECK(header.find("#include") == std::string_view::npos);
    CHECK(header.ends_with('\n'));
  }
}

}  // namespace

TEST_CASE("headers: every method has its equation") {
  check_equations("weights", quant::weight_methods());
  check_equations("activations", quant::activation_quantizers());
  check_equations("ste", quant::stes());
  check_equations("gradients", quant::gradient_methods());
  check_equations("optimizers", optim::optimizers());
  check_equations("schedules", optim::schedules());
  check_equations("labs", labs::registry());
}

TEST_CASE("headers: found by file name, else by the file whose name begins it") {
  CHECK(header_of("ste", "relu").starts_with("Vanilla ReLU"));
  CHECK(header_of("ste", "clipped_relu").starts_with("Clipped ReLU"));
  CHECK(header_of("models", "resnet20").starts_with("ResNet-20"));
  CHECK(header_of("models", "resnet20") == header_of("models", "resnet56"));
  CHECK(header_of("weights", "relu").empty());
  CHECK(header_of("nothing", "relu").empty());
}

}  // namespace qtrain::run
