#!/usr/bin/env bats
# The sweeps of experiments/sweeps: every case a good spec, run by index, by the environment's, or all.
load helper

SWEEPS=$BATS_TEST_DIRNAME/../../experiments/sweeps

@test "cases have a place of their own, and the first and the last of each sweep run" {
  precisions > can
  for sweep in "$SWEEPS"/*.sh; do
    "$sweep" --list > cases
    [ "$(wc -l < cases)" -ge 4 ]
    [ -z "$(cut -d ' ' -f 2,3 cases | sort | uniq -d)" ]
    OUT=$ROOM/runs "$sweep" 0 "$(($(wc -l < cases) - 1))" -- dataset.limit.train=256 dataset.name=shapes10 train.epochs=0 \
      dataset.limit.test=64 engine.threads=1 "engine.precision=$(tail -n 1 can)" --quiet
    [ "$(find "runs/$(basename "$sweep" .sh)" -name metrics.json | wc -l)" -eq 2 ]
  done
}

@test "a case by number, by SLURM_ARRAY_TASK_ID, with words of its own, and all with their tables" {
  cat > program <<'SH'
#!/bin/sh
echo "$*" >> "$CALLS"
while [ "$1" != --out ]; do shift; done
mkdir -p "$2"
echo '{"result": {"quantized_val_accuracy": 0.5, "train_loss": 1.25}, "communication": {"sent": {"share_of_float32": 0.0625}}}' > "$2/metrics.json"
SH
  chmod +x program
  export QTRAIN=$ROOM/program CALLS=$ROOM/calls OUT=$ROOM/out
  run "$SWEEPS/mlp_widths.sh" 4
  [ "$status" -eq 0 ] && [ -z "$output" ]
  SLURM_ARRAY_TASK_ID=1 run "$SWEEPS/mlp_widths.sh"
  [ "$status" -eq 0 ]
  [ "$(wc -l < calls)" -eq 2 ]
  sed -n 1p calls | grep -q "model.widths=\[256\] .*bits=3 --out $ROOM/out/mlp_widths/SQ3-256 --skip-done --resume"
  sed -n 2p calls | grep -q -- "--out $ROOM/out/mlp_widths/float-256 "
  run "$SWEEPS/mlp_widths.sh" 0 -- train.epochs=1 "train.optimizer={name: sgd, momentum: 0}"
  [ "$status" -eq 0 ]
  sed -n 3p calls | grep -q "method=none train.epochs=1 train.optimizer={name: sgd, momentum: 0} --out $ROOM/out/"
  run "$SWEEPS/mlp_widths.sh" --table
  [[ $output == *"| SQ3 |  | 1.2500 |  |"* ]]
  run "$SWEEPS/mlp_widths.sh" -- engine.threads=1
  [ "$status" -eq 0 ]
  [ "$(wc -l < calls)" -eq 9 ]
  [ "$(tail -n 6 calls | grep -c ' engine.threads=1 --out ')" -eq 6 ]
  [[ $output == *"| float | 50.00 % | 50.00 % | 50.00 % |"*"| float | 1/16.0 | 1/16.0 | 1/16.0 |"* ]]
}

@test "a sweep goes on after a case that diverges, which its tables say, exit 4" {
  cat > program <<'SH'
#!/bin/sh
echo "$*" >> "$CALLS"
while [ "$1" != --out ]; do shift; done
mkdir -p "$2"
status=done
case $2 in */float-256) status=diverged ;; esac
echo '{"result": {"status": "'$status'", "quantized_val_accuracy": 0.5, "train_loss": 1.25}}' > "$2/metrics.json"
[ $status = done ] || exit 4
SH
  chmod +x program
  for _ in first again; do
    QTRAIN=$ROOM/program CALLS=$ROOM/calls OUT=$ROOM/out run "$SWEEPS/mlp_widths.sh"
    [ "$status" -eq 4 ]
    [[ $output == "mlp_widths.sh: case 1, float-256, diverged"$'\n'* ]]
    [[ $output == *"| float | 1.2500 | diverged | 1.2500 |"*"| float | 50.00 % | diverged | 50.00 % |"* ]]
  done
  [ "$(wc -l < calls)" -eq 12 ]
  QTRAIN=$ROOM/program CALLS=$ROOM/calls OUT=$ROOM/out run "$SWEEPS/mlp_widths.sh" 1
  [ "$status" -eq 4 ]
}

# Leaves metrics of the finished run in folder $1 with the results $2.
finish() {
  mkdir -p "$1"
  echo "{\"result\": {$2}, \"epochs\": []}" > "$1/metrics.json"
}

@test "cells of several seeds are means and deviations" {
  for seed in 1 2; do
    finish "out/mlp_widths/float-64/s$seed" "\"train_loss\": $seed, \"quantized_val_accuracy\": 0.$seed"
  done
  echo '{"runs": [{"folder": "s1"}, {"folder": "s2"}], "result": {}}' > out/mlp_widths/float-64/metrics.json
  OUT=$ROOM/out run "$SWEEPS/mlp_widths.sh" --table
  [ "$status" -eq 0 ]
  [[ $output == *"| float | 1.5000 +- 0.7071 |"*"| float | 15.00 +- 7.07 % |"* ]]
}

@test "a table without a number is left out" {
  OUT=$ROOM/out run "$SWEEPS/mlp_widths.sh" --table
  [ "$status" -eq 0 ]
  [ "$output" = "no case is finished" ]
  finish out/mlp_widths/float-64 '"train_loss": 1.25, "quantized_val_accuracy": 0.5'
  OUT=$ROOM/out run "$SWEEPS/mlp_widths.sh" --table
  [ "$status" -eq 0 ]
  [[ $output == *"| float | 1.2500 |"*"| float | 50.00 % |"* ]]
  [[ $output != *"bytes"* ]]
}

@test "a sweep ends with the exit code of its tables" {
  printf '#!/bin/sh\n' > program
  chmod +x program
  mkdir -p out/mlp_widths/float-64
  echo '{' > out/mlp_widths/float-64/metrics.json
  for words in "--table" ""; do
    # shellcheck disable=SC2086
    QTRAIN=$ROOM/program OUT=$ROOM/out run "$SWEEPS/mlp_widths.sh" $words
    [ "$status" -eq 1 ] || { echo "$words: $status $output"; false; }
  done
}

@test "a sweep refuses what it does not know, and stops at a run that fails" {
  for word in 6 08 x -1 --nonsense; do
    run "$SWEEPS/mlp_widths.sh" "$word"
    [ "$status" -eq 2 ]
    [[ $output == *"-h tells"* ]]
  done
  printf '#!/bin/sh\necho call >> calls\nexit "$CODE"\n' > program
  chmod +x program
  for code in 1 2 3 130 143; do
    CODE=$code QTRAIN=$ROOM/program OUT=$ROOM/out run "$SWEEPS/mlp_widths.sh"
    [ "$status" -eq "$code" ]
    [ "$(wc -l < calls)" -eq 1 ]
    rm calls
  done
}

# Writes the sweep of the README's example to file $1.
write_example() {
  sed -n '/^```bash$/,/^```$/p' "$SWEEPS/../README.md" | sed '/^```/d' > "$1"
  grep -q '^sweep ' "$1"
  chmod +x "$1"
}

@test "the README's sweep runs" {
  mkdir experiments
  cp -r "$SWEEPS" "$SWEEPS/../tables.py" "$SWEEPS/../quickstart.yaml" experiments
  write_example experiments/sweeps/optimizers.sh
  run experiments/sweeps/optimizers.sh -- dataset.limit.train=32 dataset.limit.test=32 train.epochs=1 engine.threads=1
  [ "$status" -eq 0 ] || { echo "$output"; false; }
  [ -f runs/sweeps/optimizers/binary_connect-sgd/metrics.json ]
  [[ $output == *"|  | adam | sgd |"*"| none | "*" % | "*" % |"*"| binary_connect | "* ]]
}

@test "a sweep may lie anywhere, and so may its spec" {
  write_example own.sh
  sed -i "s|^source .*|source '$SWEEPS/sweep.bash'|; s|^spec=.*|spec=./tiny.yaml|" own.sh
  OUT=$ROOM/out run ./own.sh 3 -- train.epochs=0
  [ "$status" -eq 0 ] || { echo "$output"; false; }
  grep -q '"name": "tiny"' out/own/binary_connect-sgd/metrics.json
  grep -q '"name": "sgd"' out/own/binary_connect-sgd/metrics.json
}
