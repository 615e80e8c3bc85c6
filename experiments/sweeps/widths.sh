#!/usr/bin/env bash
# Filters of CifarNet's convolutions: figure 2c of Hou et al., ICLR 2019.
about="CifarNet with LAQ3 weights and 16 to 64 filters a convolution, gradients in float and in 2 bits."
# shellcheck source=experiments/sweeps/sweep.bash
source "$(dirname "${BASH_SOURCE[0]}")/sweep.bash"
spec=analysis/cifarnet_workers_short

for gradients in "float none" "SQ2 stochastic_linear 2"; do
  read -r name method bits <<< "$gradients"
  for filters in 16 32 64; do
    add "$name" "$filters" quantize.weights.method=laq quantize.weights.bits=3 model.filters=$filters \
      "quantize.gradients.method=$method" ${bits:+"quantize.gradients.bits=$bits"}
  done
done
sweep "$@"
