#!/usr/bin/env bats
# Verbs, usage errors, exit codes.
load helper

@test "without arguments a short help, exit 0" {
  run "$QTRAIN"
  [ "$status" -eq 0 ]
  [[ "$output" == *"--resume"* && "$output" == *"check"* ]]
}

@test "--version names program and number" {
  run "$QTRAIN" --version
  [ "$status" -eq 0 ]
  [[ "$output" =~ ^qtrain\ [0-9]+\.[0-9]+\.[0-9]+\ \([0-9a-f]{16}\)$ ]]
}

@test "usage errors exit 2" {
  for words in "--nonsense" "list nothing" "check" "--out somewhere" "missing.yaml" "tiny.yaml other.yaml" "check missing.yaml"; do
    # shellcheck disable=SC2086
    run "$QTRAIN" $words
    [ "$status" -eq 2 ] || { echo "$words: $status $output"; false; }
    [ -n "$output" ]
  done
  [ ! -e runs ]
}

@test "a usage error of a verb names that verb's help" {
  for words in eval export check "list nothing" "eval file --nonsense"; do
    # shellcheck disable=SC2086
    run "$QTRAIN" $words
    [ "$status" -eq 2 ]
    [[ "$output" == *"; \`qtrain ${words%% *} --help\` tells how it is used" ]] || { echo "$words: $output"; false; }
  done
  run "$QTRAIN" --nonsense
  [[ "$output" == *"; \`qtrain --help\` tells how it is used" ]]
}

@test "a run folder where a file is, is refused as such" {
  touch file
  for flag in "" --skip-done; do
    # shellcheck disable=SC2086
    run "$QTRAIN" tiny.yaml --out file $flag
    [ "$status" -eq 2 ]
    [ "$output" = "file is a file, must be a folder or not there yet: --out DIR names another" ]
  done
}

@test "an empty spec is a mistake" {
  run "$QTRAIN" - --out out < /dev/null
  [ "$status" -eq 2 ]
  [ "$output" = "<stdin>:1:1: is empty, must be a mapping" ]
  [ ! -e out ]
}

@test "a word that some stages replace is warned of" {
  printf 'stages: [{train: {epochs: 1}}, {}]\n' >> tiny.yaml
  warning="override 'train.epochs=0': train.epochs: does not reach all of stages"
  "$QTRAIN" tiny.yaml train.epochs=0 --out out --quiet 2> errors
  grep -q "^warning: $warning" errors
  grep -q "$warning" out/log.txt
  "$QTRAIN" tiny.yaml train.epochs=0 --dry-run 2>&1 > /dev/null | grep -q "^warning: $warning"
  run "$QTRAIN" check tiny.yaml train.epochs=0
  [ "$status" -eq 0 ]
  [[ "$output" == *"tiny.yaml: warning: $warning"* && "$output" == *"tiny.yaml: good"* ]]
}

@test "spec mistakes are printed all at once with their places, exit 2" {
  printf 'train: {epoch: 3}\nmodel: {name: resnet21}\n' > bad.yaml
  run "$QTRAIN" bad.yaml train.loss=hinge
  [ "$status" -eq 2 ]
  [[ "$output" == *"bad.yaml:1:9: train.epoch: unknown key, did you mean 'epochs'?"* ]]
  [[ "$output" == *"bad.yaml:2:15: model.name:"* ]]
  [[ "$output" == *"override 'train.loss=hinge'"* ]]
  run "$QTRAIN" check tiny.yaml bad.yaml
  [ "$status" -eq 2 ]
  run "$QTRAIN" check tiny.yaml
  [ "$status" -eq 0 ]
}

@test "check takes words, which are laid over every spec" {
  cp tiny.yaml also.yaml
  run "$QTRAIN" check tiny.yaml also.yaml train.epochs=2 seed=3
  [ "$status" -eq 0 ]
  [ "$output" = $'tiny.yaml: good\nalso.yaml: good' ]
  run "$QTRAIN" check tiny.yaml also.yaml train.epochs=-2
  [ "$status" -eq 2 ]
  [ "$(grep -c "override 'train.epochs=-2': train.epochs: is -2" <<< "$output")" -eq 2 ]
  [[ "$output" == *"also.yaml with these words:"* ]]
  cp tiny.yaml a=b.yaml
  run "$QTRAIN" check a=b.yaml
  [ "$output" = "a=b.yaml: good" ]
  run "$QTRAIN" check train.epochs=2
  [ "$status" -eq 2 ]
  [[ "$output" == *SPEC* ]]
}

@test "bfloat16 without an optimised implementation is refused, exit 2, leaving no folder" {
  DNNL_MAX_CPU_ISA=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 run "$QTRAIN" tiny.yaml engine.precision=bfloat16 --out out
  [ "$status" -eq 2 ]
  [[ "$output" == *"set engine.precision to float32"* ]]
  [ ! -e out ]
}

@test "a missing data set exits 3 and says how to get it, leaving no folder" {
  QTRAIN_DATA=/nowhere run "$QTRAIN" tiny.yaml dataset.name=cifar10 dataset.root=/nowhere --out out
  [ "$status" -eq 3 ]
  [[ "$output" == *"fetch.sh cifar10"* ]]
  [ ! -e out ]
}

@test "a root without the data set exits 3 and is named, wherever else the set may be" {
  mkdir -p there/mnist
  touch there/mnist/train-images-idx3-ubyte
  QTRAIN_DATA=there run "$QTRAIN" tiny.yaml dataset.name=mnist dataset.root=/no/such --out out
  [ "$status" -eq 3 ]
  [[ "$output" == *"in /no/such, /no/such/mnist)"* && "$output" != *"if_missing"* ]]
  [ ! -e out ]
  QTRAIN_DATA=there run "$QTRAIN" tiny.yaml dataset.name=mnist --out out
  [[ "$output" == *"there/mnist/train-images-idx3-ubyte: byte 0"* ]]
}

@test "a spec from the standard input, of a file of metrics, and one without end" {
  "$QTRAIN" - train.epochs=0 --out one --quiet < tiny.yaml
  "$QTRAIN" one/metrics.json --out two --quiet
  cmp one/metrics.json two/metrics.json
  printf 'train: {epoch: 3}\n' > bad.yaml
  run "$QTRAIN" check - < bad.yaml
  [ "$status" -eq 2 ]
  [ "$output" = "<stdin>:1:9: train.epoch: unknown key, did you mean 'epochs'?" ]
  run "$QTRAIN" check /dev/zero
  [ "$status" -eq 2 ]
  [ "$output" = "/dev/zero:1:1: is too long, must be at most 1048576 bytes" ]
}

@test "of very many mistakes the first are printed" {
  for i in $(seq 5000); do echo "key$i: 1"; done > bad.yaml
  run "$QTRAIN" bad.yaml
  [ "$status" -eq 2 ]
  [ "${#lines[@]}" -eq 21 ]
  [ "${lines[20]}" = "and 4980 more" ]
}

@test "a word that names another method needs none of the file's keys for the one before" {
  sed 's/method: binary_connect/method: binary_connect, mode: stochastic/' tiny.yaml > stochastic.yaml
  "$QTRAIN" stochastic.yaml quantize.weights.method=bwn quantize.activations.quantizer=pact train.epochs=0 --out out --quiet
  grep -q '"bits": 2' out/metrics.json
  run grep -E '"mode"|stochastic|alpha' out/metrics.json
  [ "$status" -eq 1 ]
  run "$QTRAIN" stochastic.yaml quantize.weights.method=bwn quantize.weights.mode=stochastic
  [ "$status" -eq 2 ]
  [[ "$output" == *"'quantize.weights.mode=stochastic': quantize.weights.mode: unknown key"* ]]
}

@test "a stand-in data set is warned of and recorded" {
  QTRAIN_DATA=/nowhere "$QTRAIN" tiny.yaml dataset.name=cifar10 dataset.root=/nowhere dataset.if_missing=shapes10 \
    train.epochs=1 --out out > stdout 2> stderr
  grep -q "shapes10.*stands in" stderr
  grep -q "shapes10.*stands in" out/log.txt
  grep -q '"requested": "cifar10"' out/metrics.json
  grep -q '"used": "shapes10"' out/metrics.json
}

@test "list prints names and equations of every group" {
  run "$QTRAIN" list
  [ "$status" -eq 0 ]
  for word in weights binary_connect activations quantized_relu ste clipped_relu gradients models resnet20 datasets \
    mnist optimizers sgd schedules cosine "straight through without a window"; do
    [[ "$output" == *"$word"* ]] || { echo "no $word"; false; }
  done
  run "$QTRAIN" list ste
  [[ "$output" == *"mu'(x)"* && "$output" != *"resnet20"* ]]
}

@test "reference prints a table of keys" {
  run "$QTRAIN" reference
  [ "$status" -eq 0 ]
  [[ "$output" == *'| `train.optimizer.name` |'* ]]
}

@test "a dry run prints the layers and trains nothing" {
  run "$QTRAIN" tiny.yaml --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == *"fc1"* && "$output" == *"memory of the engine"* && "$output" == *"an epoch of 10 steps"* ]]
  [ ! -e runs ]
}

@test "the program opens no connection: it calls no socket function" {
  run bash -c "nm -D '$QTRAIN' | grep -E ' U (socket|connect|bind|sendto|getaddrinfo)(@|$)'"
  [ "$status" -eq 1 ]
}

@test "an unknown QTRAIN_ISA exits 2 and leaves no folder" {
  QTRAIN_ISA=nonsense run "$QTRAIN" tiny.yaml --out made
  [ "$status" -eq 2 ]
  [[ "$output" == *"nonsense"* && "$output" == *"reference"* ]]
  [ ! -e made ]
}
