#!/usr/bin/env bash
# Bits of weights and gradients: the weight-bit, gradient-bit and clip studies of Hou et al., ICLR 2019.
about="CifarNet, a server and two workers: weights in float, LAB and LAQ of 2 to 4 bits, each with gradients in float and
in 2 to 4 bits, not clipped and clipped at 3 standard deviations (columns SQ2c3...)."
# shellcheck source=experiments/sweeps/sweep.bash
source "$(dirname "${BASH_SOURCE[0]}")/sweep.bash"
spec=analysis/cifarnet_workers_short

for row in "float none" "LAB lab" "LAQ2 laq 2" "LAQ3 laq 3" "LAQ4 laq 4"; do
  read -r name method bits <<< "$row"
  weights=("quantize.weights.method=$method" ${bits:+"quantize.weights.bits=$bits"})
  add "$name" float "${weights[@]}"
  for gradient_bits in 2 3 4; do
    gradients=(quantize.gradients.method=stochastic_linear "quantize.gradients.bits=$gradient_bits")
    add "$name" "SQ$gradient_bits" "${weights[@]}" "${gradients[@]}"
    add "$name" "SQ${gradient_bits}c3" "${weights[@]}" "${gradients[@]}" quantize.gradients.clip=3
  done
done
sweep "$@"
