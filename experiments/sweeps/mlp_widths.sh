#!/usr/bin/env bash
# Width of a perceptron: figure 2b of Hou et al., ICLR 2019.
about="A perceptron of one hidden layer of 64 to 1024 units with LAQ3 weights, gradients in float and in 3 bits."
# shellcheck source=experiments/sweeps/sweep.bash
source "$(dirname "${BASH_SOURCE[0]}")/sweep.bash"
spec=analysis/mlp_workers_short

for gradients in "float none" "SQ3 stochastic_linear 3"; do
  read -r name method bits <<< "$gradients"
  for units in 64 256 1024; do
    add "$name" "$units" "model.widths=[$units]" \
      "quantize.gradients.method=$method" ${bits:+"quantize.gradients.bits=$bits"}
  done
done
sweep "$@"
