#!/usr/bin/env bats
# Interrupted anywhere and resumed: the same bytes as the run that was not.
load helper

# Runs $@ undisturbed, and killed ten times and resumed.
compare_killed() {
  "$QTRAIN" "$@" --out whole --quiet
  RANDOM=7
  kills=0
  for _ in $(seq 10); do
    "$QTRAIN" "$@" --out killed --resume > out 2>&1 3>&- &
    pid=$!
    sleep "0.$(printf '%03d' $((100 + RANDOM % 250)))"
    if kill -9 $pid 2> /dev/null; then kills=$((kills + 1)); fi
    wait $pid || true
  done
  "$QTRAIN" "$@" --out killed --resume --quiet
  [ "$kills" -ge 2 ]
  for file in metrics.json history.jsonl final.safetensors; do cmp whole/$file killed/$file; done
  [ -z "$(find killed -name '*.tmp')" ]
}

@test "kill -9 at random moments, then --resume" {
  compare_killed tiny.yaml train.epochs=8 dataset.limit.train=3200
}

@test "kill -9 at random moments with images held out, whose losses the schedule goes by, then --resume" {
  compare_killed tiny.yaml train.epochs=8 dataset.limit.train=3200 dataset.held_out=400 train.schedule.name=plateau \
    "quantize.weights={method: prox_quant}"
  grep -q '"quantized_test_accuracy_at_best_val": 0' killed/metrics.json
}

@test "kill -9 at random moments of a run of three stages, then --resume" {
  cat >> tiny.yaml <<'YAML'
stages:
- quantize: {weights: {method: none}, activations: {quantizer: none}}
- quantize: {activations: {bits: 4}}
- train: {epochs: 2, optimizer: {name: sgd, learning_rate: 0.01, momentum: 0.9}}
YAML
  compare_killed tiny.yaml dataset.limit.train=3200
}

@test "kill -9 between stages of several latents a weight, then --resume" {
  cat >> tiny.yaml <<'YAML'
stages:
- quantize: {weights: {method: pmf}}
- quantize: {weights: {method: md_softmax_s, levels: ternary}}
YAML
  "$QTRAIN" tiny.yaml train.epochs=1 --out whole --quiet
  "$QTRAIN" tiny.yaml train.epochs=1 --out killed > out 2>&1 3>&- &
  pid=$!
  wait_for killed/checkpoint.safetensors
  kill -9 $pid
  wait $pid || true
  "$QTRAIN" tiny.yaml train.epochs=1 --out killed --resume --quiet
  cmp whole/metrics.json killed/metrics.json
}

@test "SIGTERM and SIGINT write a checkpoint within the epoch and exit 128 + signal" {
  "$QTRAIN" tiny.yaml train.epochs=8 dataset.limit.train=3200 --out whole --quiet
  for pair in TERM:143 INT:130; do
    folder=stopped-${pair%%:*}
    # A background job of a script ignores SIGINT unless its shell says otherwise.
    env --default-signal=INT "$QTRAIN" tiny.yaml train.epochs=8 dataset.limit.train=3200 --out $folder > out 2>&1 3>&- &
    pid=$!
    wait_for $folder/checkpoint.safetensors
    kill -"${pair%%:*}" $pid
    status=0
    wait $pid || status=$?
    [ "$status" -eq "${pair##*:}" ]
    [ ! -e $folder/metrics.json ]
    grep -q -- --resume out
    "$QTRAIN" tiny.yaml train.epochs=8 dataset.limit.train=3200 --out $folder --resume --quiet
    for file in metrics.json history.jsonl final.safetensors; do cmp whole/$file $folder/$file; done
  done
}

@test "SIGHUP writes a checkpoint and goes on" {
  "$QTRAIN" tiny.yaml train.epochs=8 dataset.limit.train=3200 --out a > out 2>&1 3>&- &
  pid=$!
  wait_for a/checkpoint.safetensors
  kill -HUP $pid
  wait $pid
  grep -q "checkpoint written" a/log.txt
  "$QTRAIN" tiny.yaml train.epochs=8 dataset.limit.train=3200 --out b --quiet
  cmp a/metrics.json b/metrics.json
}

@test "the history is truncated to the checkpoint" {
  "$QTRAIN" tiny.yaml --out a --quiet
  cp -r a b
  rm b/metrics.json
  echo '{"epoch": 99}' >> b/history.jsonl
  "$QTRAIN" tiny.yaml --out b --resume --quiet
  cmp a/history.jsonl b/history.jsonl
  cmp a/metrics.json b/metrics.json
}

@test "--resume of a finished run changes nothing; of another spec it is an error naming the keys" {
  "$QTRAIN" tiny.yaml --out a --quiet
  cp a/metrics.json before
  run "$QTRAIN" tiny.yaml --out a --resume
  [ "$status" -eq 0 ]
  cmp a/metrics.json before
  run "$QTRAIN" tiny.yaml "stages=[{}, {train: {epochs: 1}}]" --out a --resume
  [ "$status" -eq 2 ]
  [[ "$output" == *"these keys differ: stages" ]]
  run "$QTRAIN" tiny.yaml 'seeds=[1, 2]' --out a --resume
  [ "$status" -eq 2 ]
  [[ "$output" == *"these keys differ: seeds" ]]
  rm a/metrics.json
  run "$QTRAIN" tiny.yaml train.epochs=5 seed=3 --out a --resume
  [ "$status" -eq 2 ]
  [[ "$output" == *"seed"* && "$output" == *"train.epochs"* ]]
}

@test "a damaged checkpoint is an error, not a crash" {
  "$QTRAIN" tiny.yaml --out a --quiet
  rm a/metrics.json
  truncate -s 1000 a/checkpoint.safetensors
  run "$QTRAIN" tiny.yaml --out a --resume
  [ "$status" -eq 3 ]
  [[ "$output" == *"checkpoint.safetensors"* ]]
}

@test "two programs cannot share a folder" {
  "$QTRAIN" tiny.yaml train.epochs=200 --out a > out 2>&1 3>&- &
  pid=$!
  wait_for a/checkpoint.safetensors
  run "$QTRAIN" tiny.yaml train.epochs=200 --out a --resume
  kill -9 $pid
  [ "$status" -eq 1 ]
  [[ "$output" == *"in use"* ]]
}

@test "a full disk ends the run with one sentence and exit 1; the checkpoint before it stays good" {
  "$QTRAIN" tiny.yaml train.epochs=2 --out whole --quiet
  "$QTRAIN" tiny.yaml train.epochs=2 --out a > out 2>&1 3>&- &
  pid=$!
  wait_for a/checkpoint.safetensors && kill -9 $pid
  wait $pid || true
  rm -f a/metrics.json
  cp a/checkpoint.safetensors before
  status=0
  (trap '' XFSZ; ulimit -f 100; exec "$QTRAIN" tiny.yaml train.epochs=2 --out a --resume > /dev/null 2> errors) || status=$?
  [ "$status" -eq 1 ]
  [ "$(wc -l < errors)" -eq 1 ]
  grep -q "cannot save a/" errors
  cmp a/checkpoint.safetensors before
  "$QTRAIN" tiny.yaml train.epochs=2 --out a --resume --quiet
  cmp a/metrics.json whole/metrics.json
}

@test "a run folder that cannot be made exits 1 and says so" {
  touch file
  run "$QTRAIN" tiny.yaml --out file/run
  [ "$status" -eq 1 ]
  [[ "$output" == *"file/run"* ]]
}
