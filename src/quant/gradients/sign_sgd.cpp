// signSGD with majority vote: Bernstein, Wang, Azizzadenesheli, Anandkumar, "signSGD: Compressed Optimisation
// for Non-Convex Problems", ICML 2018 (arXiv:1802.04434).
//
//   message of a worker: sign(g_i), one bit a value
//   g~_i = sign(sum over workers of sign(g_i))
//
// The optimizer sgd without momentum makes it x <- x - learning rate * g~. sign(0) is +1 in a message, which
// has no third value; a tied vote is 0. Where batches are not divided evenly, votes count by images.
#include "quant/gradient.hpp"
#include "quant/sign_vote.hpp"

namespace qtrain::quant::gradients {

GradientMethod read_sign_sgd(spec::Reader& /*keys*/) {
  return {.exchanged = [] { return std::make_unique<SignVote>(0); }};
}

}  // namespace qtrain::quant::gradients
