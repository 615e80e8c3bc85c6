#include "kernels/lstm_cell.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/samples.hpp"

namespace qtrain::kernels {
namespace {

constexpr std::size_t kCellSizes[] = {1, 2, 15, 16, 17, 31, 32, 33, 100, 512};

std::vector<float> drawn(std::size_t size, std::uint32_t key, float width) {
  RandomStream random(1, Purpose::test, key);
  std::vector<float> x(size);
  for (float& value : x) value = width * random.normal();
  return x;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

struct Cell {
  std::vector<float> gates, c_before, c, tanh_c, h, scratch;
  Cell(std::size_t size, float width)
      : gates(drawn(4 * size, 1, width)),
        c_before(drawn(size, 2, width)),
        c(size),
        tanh_c(size),
        h(size),
        scratch(4 * size) {}
  void run() {
    lstm_cell_forward(gates.data(), c_before.data(), c.data(), tanh_c.data(), h.data(), c.size(),
                      scratch.data());
  }
};

}  // namespace

TEST_CASE("an LSTM cell is its equations to 1e-6, for small, usual and saturating inputs") {
  for (const float width : {1e-4f, 1.0f, 30.0f})
    for (const std::size_t size : kCellSizes) {
      CAPTURE(size);
      CAPTURE(width);
      Cell cell(size, width);
      const std::vector<float> z = cell.gates;
      cell.run();
      for (std::size_t k = 0; k < size; ++k) {
        const double i = sigmoid(z[k]), f = sigmoid(z[size + k]), g = std::tanh(z[2 * size + k]);
        const double o = sigmoid(z[3 * size + k]), c = f * cell.c_before[k] + i * g;
        CHECK(cell.gates[k] == doctest::Approx(i).epsilon(1e-6));
        CHECK(cell.gates[size + k] == doctest::Approx(f).epsilon(1e-6));
        CHECK(cell.gates[2 * size + k] == doctest::Approx(g).epsilon(1e-6));
        CHECK(cell.gates[3 * size + k] == doctest::Approx(o).epsilon(1e-6));
        CHECK(cell.c[k] == doctest::Approx(c).epsilon(1e-6));
        CHECK(cell.h[k] == doctest::Approx(o * std::tanh(c)).epsilon(1e-6));
      }
    }
}

TEST_CASE("the gradients of an LSTM cell are those of its equations") {
  for (const std::size_t size : kCellSizes) {
    CAPTURE(size);
    Cell cell(size, 1);
    cell.run();
    const std::vector<float> dh = drawn(size, 3, 1);
    std::vector<float> dc = drawn(size, 4, 1), diff(4 * size);
    const std::vector<float> dc_given = dc;
    lstm_cell_backward(cell.gates.data(), cell.c_before.data(), cell.tanh_c.data(), dh.data(), dc.data(),
                       diff.data(), size);
    for (std::size_t k = 0; k < size; ++k) {
      const double i = cell.gates[k], f = cell.gates[size + k], g = cell.gates[2 * size + k];
      const double o = cell.gates[3 * size + k], t = cell.tanh_c[k];
      const double through = dc_given[k] + dh[k] * o * (1 - t * t);
      CHECK(diff[k] == doctest::Approx(through * g * i * (1 - i)).epsilon(1e-5));
      CHECK(diff[size + k] == doctest::Approx(through * cell.c_before[k] * f * (1 - f)).epsilon(1e-5));
      CHECK(diff[2 * size + k] == doctest::Approx(through * i * (1 - g * g)).epsilon(1e-5));
      CHECK(diff[3 * size + k] == doctest::Approx(dh[k] * t * o * (1 - o)).epsilon(1e-5));
      CHECK(dc[k] == doctest::Approx(through * f).epsilon(1e-5));
    }
    std::vector<float> in_place = cell.gates, again = dc_given;
    lstm_cell_backward(in_place.data(), cell.c_before.data(), cell.tanh_c.data(), dh.data(), again.data(),
                       in_place.data(), size);
    CHECK(in_place == diff);
  }
}

TEST_CASE("what is not finite shows in an LSTM cell's output") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    for (std::size_t gate = 0; gate < 4; ++gate) {
      Cell cell(17, 1);
      cell.gates[gate * 17 + 5] = bad;
      cell.run();
      for (std::size_t k = 0; k < 17; ++k) CHECK(std::isfinite(cell.h[k]) == (k != 5));
    }
}

}  // namespace qtrain::kernels
