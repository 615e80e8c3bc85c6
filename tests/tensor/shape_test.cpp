#include "tensor/shape.hpp"

#include <doctest/doctest.h>

namespace qtrain {

TEST_CASE("element counts and names of shapes") {
  CHECK(element_count({}) == 1);
  CHECK(element_count({16, 3, 3, 3}) == 432);
  CHECK(element_count({5, 0, 7}) == 0);
  CHECK(element_count({100'000, 100'000}) == 10'000'000'000u);
  CHECK(to_string(Shape{}) == "scalar");
  CHECK(to_string(Shape{10}) == "10");
  CHECK(to_string(Shape{16, 3, 3, 3}) == "16x3x3x3");
}

}  // namespace qtrain
