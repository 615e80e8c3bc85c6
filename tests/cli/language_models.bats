#!/usr/bin/env bats
# Language models: what a run of one says and leaves, and that the promises hold for what goes from batch to batch.
load helper

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# Beside tiny.yaml a small language model: 6 lanes, 31 steps of 16 tokens an epoch.
write_spec() {
  cat > text.yaml <<'YAML'
name: text
dataset: {name: markov_text, batch_size: 6, sequence: 16, limit: {train: 3000, test: 700}}
model: {name: lstm, hidden: 24, embedding: 12}
quantize:
  weights: {method: binary_connect}
  skip: [first, last]
train:
  epochs: 3
  optimizer: {name: adam, learning_rate: 0.01, clip_norm: 0.25}
  schedule: {name: plateau}
YAML
}

@test "a run tells perplexities and tokens/s, and leaves them" {
  write_spec
  "$QTRAIN" text.yaml expect.val_perplexity=27 --out a > stdout
  grep -Eq '^epoch   1/3  loss [0-9.]+  train ppl [0-9.]+  val ppl [0-9.]+  quantized ppl [0-9.]+  [0-9]+ tokens/s  left [0-9:]+$' stdout
  grep -Eq '^  quantized val perplexity  [0-9.]+$' stdout
  grep -Eq '^  expected                  perplexity 27.00, met ' stdout
  run grep -E 'images' stdout
  [ "$status" -eq 1 ]
  python3 - <<'PYTHON'
import json, math

metrics = json.load(open("a/metrics.json"))
for row in metrics["epochs"] + [metrics["result"]]:
    for split in ("train", "val", "quantized_val", "float_val"):
        assert math.isclose(row[split + "_perplexity"], math.exp(row[split + "_loss"]), rel_tol=1e-12), row
        assert 0 <= row[split + "_accuracy"] <= 1
best = min(row["val_perplexity"] for row in metrics["epochs"])
assert metrics["result"]["best_val_perplexity"] == best < 27
timing = json.load(open("a/timing.json"))
assert timing["train_tokens_per_second"] > 0 and timing["eval_tokens_per_second"] > 0
assert "train_images_per_second" not in timing
PYTHON
}

@test "a stage goes on where the one before ended: two of an epoch are one of two, dropout and drawn weights included" {
  write_spec
  words=(model.dropout=0.5 quantize.weights.mode=stochastic "train.optimizer={name: sgd, learning_rate: 1, momentum: 0}"
    train.schedule.name=constant)
  "$QTRAIN" text.yaml "${words[@]}" train.epochs=2 --out one --quiet > /dev/null
  "$QTRAIN" text.yaml "${words[@]}" train.epochs=1 "stages=[{}, {}]" --out two --quiet > /dev/null
  python3 - <<'PYTHON'
import json

one, two = (json.load(open(name + "/metrics.json"))["epochs"] for name in ("one", "two"))
assert [row["stage"] for row in two] == [1, 2]
for row in one + two:
    for key in ("stage", "sign_changes", "layer_sign_changes"):  # signs are compared with the stage's start
        del row[key]
assert one == two, (one, two)
PYTHON
}

@test "eval and exported files give the perplexity of the metrics" {
  write_spec
  for words in "workers.count=1" "workers.count=2"; do
    rm -rf a
    "$QTRAIN" text.yaml $words --out a --quiet > /dev/null
    "$QTRAIN" export a/final.safetensors a/packed.safetensors > /dev/null
    for file in checkpoint final packed; do
      "$QTRAIN" eval a/$file.safetensors --json > a/$file.json
    done
    python3 - <<'PYTHON'
import json, math

result = json.load(open("a/metrics.json"))["result"]
for file in ("checkpoint", "final", "packed"):
    found = json.load(open(f"a/{file}.json"))
    assert math.isclose(found["perplexity"], result["quantized_val_perplexity"], rel_tol=1e-12), (file, found)
    assert found["accuracy"] == result["quantized_val_accuracy"]
    assert found["tokens"] > 600 and found["tokens_per_second"] > 0
    assert "images" not in found and "images_per_second" not in found
PYTHON
  done
  run "$QTRAIN" eval a/final.safetensors --batch 5
  [ "$status" -eq 0 ]
  [[ $output == *"lstm on "*" tokens of markov_text"*"perplexity  "*"tokens/s, batch 5"* ]]
}

@test "metrics.json of a language model is the same with any number of threads" {
  write_spec
  for threads in 1 2 3; do "$QTRAIN" text.yaml engine.threads=$threads --out t$threads --quiet; done
  for other in t2 t3; do
    cmp t1/metrics.json $other/metrics.json
    cmp t1/final.safetensors $other/final.safetensors
  done
}

@test "a language model stopped within an epoch goes on to the same bytes" {
  write_spec
  set -- text.yaml train.epochs=6 dataset.limit.train=30000
  "$QTRAIN" "$@" --out whole --quiet
  within=no  # an epoch: the signal may also come at the end of one
  for delay in 03 07 11 02 05 13 01 09; do
    rm -rf cut
    "$QTRAIN" "$@" --out cut > out 2>&1 3>&- &
    pid=$!
    wait_for cut/checkpoint.safetensors
    sleep 0.$delay
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    [ "$status" -eq 143 ]
    if grep -q 'carried/' cut/checkpoint.safetensors; then within=yes; break; fi
  done
  [ "$within" = yes ]
  "$QTRAIN" "$@" --out cut --resume --quiet
  for file in metrics.json history.jsonl final.safetensors; do cmp whole/$file cut/$file; done
}

@test "kill -9 of a language model after a checkpoint within an epoch, then --resume" {
  write_spec
  set -- text.yaml train.epochs=6 dataset.limit.train=30000
  "$QTRAIN" "$@" --out whole --quiet
  "$QTRAIN" "$@" --out cut > out 2>&1 3>&- &
  pid=$!
  wait_for cut/checkpoint.safetensors
  kill -HUP $pid
  for _ in $(seq 500); do grep -q "checkpoint written" out && break; sleep 0.02; done
  kill -9 $pid
  wait $pid || true
  "$QTRAIN" "$@" --out cut --resume --quiet
  for file in metrics.json history.jsonl final.safetensors; do cmp whole/$file cut/$file; done
}

@test "signals in the middle of generated code leave a language model's numbers alone" {
  write_spec
  set -- text.yaml train.epochs=4 dataset.limit.train=30000
  "$QTRAIN" "$@" --out whole --quiet
  for _ in 1 2 3 4 5 6; do
    rm -rf disturbed
    "$QTRAIN" "$@" --out disturbed > out 2>&1 3>&- &
    pid=$!
    wait_for disturbed/checkpoint.safetensors
    for _ in $(seq 10); do sleep 0.02; kill -HUP $pid 2> /dev/null || true; done
    wait $pid
    cmp whole/metrics.json disturbed/metrics.json
  done
}

@test "simulated workers and processes of mpi train a language model to the same bytes, also resumed" {
  write_spec
  for protocol in all_reduce parameter_server; do
    for count in 2 4; do
      rm -rf one several
      "$QTRAIN" text.yaml workers.protocol=$protocol workers.count=$count --out one --quiet
      mpirun --oversubscribe --quiet -n $count "$QTRAIN" text.yaml workers.protocol=$protocol --out several --quiet
      for file in metrics.json history.jsonl final.safetensors; do cmp one/$file several/$file; done
    done
  done
  set -- text.yaml train.epochs=4 dataset.limit.train=30000
  "$QTRAIN" "$@" workers.count=4 --out whole --quiet
  mpirun --oversubscribe --quiet -n 4 "$QTRAIN" "$@" --out cut > out 2>&1 3>&- &
  pid=$!
  wait_for cut/checkpoint.safetensors
  pkill -HUP -P $pid
  for _ in $(seq 500); do grep -q "checkpoint written" out && break; sleep 0.02; done
  pkill -KILL -P $pid
  wait $pid || true
  grep -q 'carried/' cut/checkpoint.safetensors
  "$QTRAIN" "$@" workers.count=4 --out cut --resume --quiet
  for file in metrics.json history.jsonl final.safetensors; do cmp whole/$file cut/$file; done
}

@test "several seeds: means and deviations of perplexities" {
  write_spec
  "$QTRAIN" text.yaml train.epochs=1 "seeds=[3, 4]" expect.val_loss=3.3 --out a > stdout
  grep -q '    standard deviation ' stdout
  python3 - <<'PYTHON'
import json, math

metrics = json.load(open("a/metrics.json"))
for key in ("train_perplexity", "val_perplexity", "quantized_val_perplexity", "best_val_perplexity", "quantized_val_loss"):
    values = [run["result"].get(key) for run in metrics["runs"]]
    assert math.isclose(metrics["result"][key], sum(values) / 2, rel_tol=1e-12), key
    assert math.isclose(metrics["result"][key + "_deviation"], abs(values[0] - values[1]) / math.sqrt(2), rel_tol=1e-9), key
assert metrics["expected"]["val_loss"] == 3.3 and metrics["expected"]["met"] is True
PYTHON
}

@test "mistakes that only language models can have" {
  write_spec
  run "$QTRAIN" text.yaml train.loss=squared_hinge --out a
  [ "$status" -eq 2 ]
  [[ $output == *"train.loss: is squared_hinge"*"must be cross_entropy"* ]]
}
