#!/usr/bin/env bash
# Number of workers: the scaling study of Hou et al., ICLR 2019.
about="CifarNet with weights of 3 bits on 1 to 16 workers of 64 images each, so that steps fall as workers grow; gradients
in float and in 2 to 4 bits, 2 bits also clipped at 3 standard deviations."
# shellcheck source=experiments/sweeps/sweep.bash
source "$(dirname "${BASH_SOURCE[0]}")/sweep.bash"
spec=analysis/cifarnet_workers_short

for gradients in "float none" "SQ2 stochastic_linear 2" "SQ2c3 stochastic_linear 2 3" "SQ3 stochastic_linear 3" "SQ4 stochastic_linear 4"; do
  read -r name method bits clip <<< "$gradients"
  for count in 1 2 4 8 16; do
    add "$name" "$count" quantize.weights.method=laq quantize.weights.bits=3 workers.count=$count \
      "quantize.gradients.method=$method" ${bits:+"quantize.gradients.bits=$bits"} ${clip:+"quantize.gradients.clip=$clip"}
  done
done
sweep "$@"
