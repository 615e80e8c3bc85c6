#pragma once
#include <cstddef>

namespace qtrain::kernels {

// One step of LSTM cells, `size` features of one sample. The four gates lie one after another, i, f, g, o,
// `size` values each. All kernel sets give the same bits: these call exp_minus of the active one, the rest is
// plain C++.

/// gates: from pre-activations to i = sigmoid, f = sigmoid, g = tanh, o = sigmoid of them;
/// c = f c_before + i g, tanh_c = tanh(c), h = o tanh_c. sigmoid and tanh to an absolute error of 2e-7; a NaN
/// or an infinity gives NaN. `scratch` has 4 * size floats. c may be c_before, no other overlap.
void lstm_cell_forward(float* gates, const float* c_before, float* c, float* tanh_c, float* h,
                       std::size_t size, float* scratch);

/// From dh and dc, the gradients of h and, by way of the next step, of c, to diff_gates, those of the
/// pre-activations, and, in dc, that of c_before. gates and tanh_c are forward's. diff_gates may be gates, no
/// other overlap.
///
///   do = dh tanh_c   dc' = dc + dh o (1 - tanh_c^2)   di = dc' g   df = dc' c_before   dg = dc' i   dc = dc'
///   f times the derivatives: s (1 - s) of sigmoids, 1 - g^2
void lstm_cell_backward(const float* gates, const float* c_before, const float* tanh_c, const float* dh,
                        float* dc, float* diff_gates, std::size_t size);

}  // namespace qtrain::kernels
