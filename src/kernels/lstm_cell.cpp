#include "kernels/lstm_cell.hpp"

#include "kernels/kernels.hpp"

namespace qtrain::kernels {

namespace {

constexpr std::size_t kBlock = 16;  // a constant length is what g++ -O2 needs to use vector instructions

/// body(i) for i < size.
template <class Body>
inline void for_each(std::size_t size, const Body& body) {
  std::size_t start = 0;
  for (; start + kBlock <= size; start += kBlock)
    for (std::size_t i = start; i < start + kBlock; ++i) body(i);
  for (std::size_t i = start; i < size; ++i) body(i);
}

/// x = sigmoid(x) by e = e^-|x|: 1 / (1 + e) for x >= 0, e / (1 + e) for x < 0. exp_minus hides what is not
/// finite, 0 x brings it back.
void sigmoids(float* __restrict x, const float* __restrict e, std::size_t size) {
  for_each(size, [&](std::size_t i) {
    const float top = x[i] < 0 ? e[i] : 1.0f;
    x[i] = top / (1.0f + e[i]) + 0.0f * x[i];
  });
}

/// y = tanh(x) by e = e^-2|x|: (1 - e) / (1 + e) with the sign of x.
void tanhs(const float* __restrict x, const float* __restrict e, float* __restrict y, std::size_t size) {
  for_each(size, [&](std::size_t i) {
    const float magnitude = (1.0f - e[i]) / (1.0f + e[i]);
    y[i] = (x[i] < 0 ? -magnitude : magnitude) + 0.0f * x[i];
  });
}

/// e = e^-2|x|. `e` holds 2 x in between.
void exp_minus_twice(const float* __restrict x, float* __restrict e, std::size_t size) {
  for_each(size, [&](std::size_t i) { e[i] = 2.0f * x[i]; });
  active().exp_minus(e, e, size);
}

}  // namespace

void lstm_cell_forward(float* gates, const float* c_before, float* c, float* tanh_c, float* h,
                       std::size_t size, float* scratch) {
  float *i = gates, *f = gates + size, *g = gates + 2 * size, *o = gates + 3 * size;
  active().exp_minus(gates, scratch, 2 * size);
  exp_minus_twice(g, scratch + 2 * size, size);
  active().exp_minus(o, scratch + 3 * size, size);
  sigmoids(gates, scratch, 2 * size);
  sigmoids(o, scratch + 3 * size, size);
  float* kept = scratch;  // of g, while its tanh is made
  for_each(size, [&](std::size_t k) { kept[k] = g[k]; });
  tanhs(kept, scratch + 2 * size, g, size);
  for_each(size, [&](std::size_t k) { c[k] = f[k] * c_before[k] + i[k] * g[k]; });
  exp_minus_twice(c, scratch, size);
  tanhs(c, scratch, tanh_c, size);
  for_each(size, [&](std::size_t k) { h[k] = o[k] * tanh_c[k]; });
}

void lstm_cell_backward(const float* gates, const float* c_before, const float* tanh_c, const float* dh,
                        float* dc, float* diff_gates, std::size_t size) {
  const float *i = gates, *f = gates + size, *g = gates + 2 * size, *o = gates + 3 * size;
  float *di = diff_gates, *df = di + size, *dg = df + size, *d_o = dg + size;
  for_each(size, [&](std::size_t k) {
    const float in = i[k], forget = f[k], cell = g[k], out = o[k];
    const float through = dc[k] + (dh[k] * out) * (1.0f - tanh_c[k] * tanh_c[k]);
    di[k] = (through * cell) * (in * (1.0f - in));
    df[k] = (through * c_before[k]) * (forget * (1.0f - forget));
    dg[k] = (through * in) * (1.0f - cell * cell);
    d_o[k] = (dh[k] * tanh_c[k]) * (out * (1.0f - out));
    dc[k] = through * forget;
  });
}

}  // namespace qtrain::kernels
