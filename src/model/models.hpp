#pragma once
#include "model/graph.hpp"

namespace qtrain::model {

/// One reader a line of models.def: reads the model's own keys and builds it for images of `input` (C, H, W)
/// or sequences (T).
#define MODEL(name, file, takes) Graph read_##name(spec::Reader& keys, const Shape& input, int classes);
#include "model/models.def"
#undef MODEL

}  // namespace qtrain::model
