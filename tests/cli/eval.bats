#!/usr/bin/env bats
# Trained nets evaluated and exported: the numbers of their metrics, from every file.
load helper

# Trains with these words and compares what the metrics say with every way to evaluate it.
compare_files() {
  rm -rf run
  "$QTRAIN" tiny.yaml "$@" --out run --quiet > /dev/null
  "$QTRAIN" export run/final.safetensors run/packed.safetensors > /dev/null
  "$QTRAIN" export run/checkpoint.safetensors run/again.safetensors > /dev/null
  cmp run/packed.safetensors run/again.safetensors
  for file in checkpoint final packed; do
    for low_bit in auto off bitwise; do
      "$QTRAIN" eval run/$file.safetensors --low-bit $low_bit --json > run/$file-$low_bit.json
    done
  done
  python3 - <<'PYTHON'
import glob, json

metrics = json.load(open("run/metrics.json"))["result"]
split = "test" if "test_loss" in metrics else "val"
found = glob.glob("run/*-*.json")
assert len(found) == 9
for path in found:
    result = json.load(open(path))
    assert result["accuracy"] == metrics[f"quantized_{split}_accuracy"], path
    assert result["loss"] == metrics[f"quantized_{split}_loss"], path
    assert result["images"] == 64 and result["images_per_second"] > 0
PYTHON
}

@test "checkpoint, final weights and exported file give the metrics' numbers, whatever the method and path" {
  for weights in "method: binary_connect" "method: bwn" "method: ttq" "method: lsq, bits: 3" "method: laq, bits: 3" \
    "method: alternating, bits: 2" "method: prox_quant" "method: md_softmax" "method: dorefa, bits: 4" "method: qil, bits: 2" "method: none"; do
    compare_files "quantize.weights={$weights}"
  done
}

@test "so do stages, several workers, averages, and images held out" {
  compare_files dataset.held_out=100
  compare_files dataset.held_out=100 "quantize.weights={method: prox_quant}"
  python3 -c 'import json; r = json.load(open("run/metrics.json"))["result"]; assert r["test_loss"] != r["quantized_test_loss"]'
  compare_files workers.count=2 quantize.gradients.method=ef_sign_sgd "train.optimizer={name: sgd, momentum: 0}"
  compare_files train.average_decay=0.9
  cat >> tiny.yaml <<'YAML'
stages:
- quantize: {weights: {method: none}, activations: {quantizer: none}}
- quantize: {weights: {method: lab}}
YAML
  compare_files
}

@test "an exported file has as many bits a weight as the method, and little else" {
  "$QTRAIN" tiny.yaml "model.widths=[256, 256]" --out run --quiet > /dev/null
  run "$QTRAIN" export run/final.safetensors packed.safetensors
  [ "$status" -eq 0 ]
  [[ ${lines[0]} == "854528 quantized weights in "*" bytes, 1.00 bits each with their scales" ]]
  [ "${lines[1]}" = packed.safetensors ]
  [ "$(stat -c %s packed.safetensors)" -lt $((854528 / 8 + 20000)) ]
}

@test "a checkpoint within an epoch gives the same accuracy by any batch" {
  "$QTRAIN" tiny.yaml train.epochs=8 dataset.limit.train=3200 --out run > out 2>&1 3>&- &
  pid=$!
  wait_for run/checkpoint.safetensors
  kill -TERM $pid
  wait $pid || true
  [ ! -e run/metrics.json ]
  "$QTRAIN" eval run/checkpoint.safetensors --json | grep '"accuracy"' > own
  for batch in 1 7 100; do
    "$QTRAIN" eval run/checkpoint.safetensors --batch $batch --json | grep '"accuracy"' | cmp - own
  done
}

@test "eval takes words over the spec of the file, and says what is wrong" {
  "$QTRAIN" tiny.yaml --out run --quiet > /dev/null
  run "$QTRAIN" eval run/final.safetensors dataset.limit.test=32 --batch 7
  [ "$status" -eq 0 ]
  [[ $output == *"mlp on 32 images of shapes10"*"accuracy"*"images/s, batch 7"* ]]
  run "$QTRAIN" eval run/final.safetensors --low-bit quick
  [ "$status" -eq 2 ]
  [[ $output == *"engine.low_bit: is 'quick'"* ]]
  run "$QTRAIN" eval nothing.safetensors
  [ "$status" -eq 3 ]
  [[ $output == *nothing.safetensors* ]]
  head -c 5000 run/final.safetensors > cut.safetensors
  run "$QTRAIN" eval cut.safetensors
  [ "$status" -eq 3 ]
  printf XXXX | dd of=run/checkpoint.safetensors bs=1 seek=20000 conv=notrunc status=none
  run "$QTRAIN" eval run/checkpoint.safetensors
  [ "$status" -eq 3 ]
  [[ $output == *"run/checkpoint.safetensors is damaged"* ]]
  run "$QTRAIN" export run/final.safetensors run/metrics.json
  [ "$status" -eq 2 ]
  [[ $output == *"run/metrics.json exists"* ]]
  run "$QTRAIN" export run/final.safetensors /nowhere/out.safetensors
  [ "$status" -eq 1 ]
  [[ $output == *"/nowhere/out.safetensors"* ]]
}

@test "a file that is not of the net is to blame, unless words over its spec make another" {
  "$QTRAIN" tiny.yaml --out run --quiet > /dev/null
  run "$QTRAIN" eval run/final.safetensors "model.widths=[32, 17]"
  [ "$status" -eq 2 ]
  [[ $output == *"another net than that of run/final.safetensors: leave out those that change model.widths (its tensor "* ]]
  run "$QTRAIN" eval run/final.safetensors quantize.activations.bits=3
  [ "$status" -eq 2 ]
  [[ $output == *"leave out those that change quantize.activations.bits ("* ]]
  run "$QTRAIN" eval run/checkpoint.safetensors quantize.weights.method=md_softmax
  [ "$status" -eq 2 ]
  [[ $output == *"another net than that of run/checkpoint.safetensors: leave out "*"quantize.weights.method"* ]]
  LC_ALL=C sed 's/"fc2.weight":/"fc2.weighs":/' run/final.safetensors > renamed.safetensors
  run "$QTRAIN" eval renamed.safetensors --low-bit off dataset.limit.test=8
  [ "$status" -eq 3 ]
  [[ $output == *"renamed.safetensors: it has no tensor 'fc2.weight'"* ]]
}

@test "eval warns of a word that stages of the spec replace" {
  "$QTRAIN" tiny.yaml 'stages=[{train: {epochs: 2}}, {}]' train.epochs=1 --out run --quiet > /dev/null
  run "$QTRAIN" eval run/final.safetensors train.epochs=3
  [ "$status" -eq 0 ]
  [[ $output == *"warning: override 'train.epochs=3': train.epochs: does not reach all of stages"* ]]
}
