// Signum with majority vote: Bernstein, Zhao, Azizzadenesheli, Anandkumar, "signSGD with Majority Vote is
// Communication Efficient and Fault Tolerant", ICLR 2019 (arXiv:1810.05291).
//
//   each worker: m <- beta m + (1 - beta) g, m = 0 at the start; message: sign(m_i), one bit a value
//   g~_i = sign(sum over workers of sign(m_i))
//
// beta is `momentum`; 0 gives sign_sgd, which see for ties. The optimizer is sgd without a momentum of its
// own.
#include "quant/gradient.hpp"
#include "quant/sign_vote.hpp"

namespace qtrain::quant::gradients {

GradientMethod read_signum(spec::Reader& keys) {
  double momentum = 0.9;
  keys.field("momentum", momentum, {.low = 0, .high = 1, .high_open = true},
             "beta, of each worker's mean of gradients");
  return {.exchanged = [momentum] { return std::make_unique<SignVote>(momentum); }};
}

}  // namespace qtrain::quant::gradients
