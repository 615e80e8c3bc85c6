#include "base/error.hpp"
#include "engine/engine.hpp"
#include "engine/onednn.hpp"

namespace qtrain::engine {

std::string onednn_version() {
  const auto* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

void require(Precision precision) {
  if (precision == Precision::bfloat16 && !onednn::has_bfloat16())
    fail(
        ExitCode::usage,
        "the precision is bfloat16, but oneDNN {} has no fast bfloat16 convolution for this CPU, which takes "
        "AVX-512: set engine.precision to float32",
        onednn_version());
}

}  // namespace qtrain::engine
