#!/usr/bin/env bats
# Several workers: simulated or one a process of MPI, the same bytes; and what happens when one of them fails.
load helper

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

mpi() {
  mpirun --oversubscribe --quiet -n "$@"
}

# Runs tiny.yaml with these words on $1 simulated workers and on as many processes.
compare_transports() {
  count=$1
  shift
  rm -rf one several
  "$QTRAIN" tiny.yaml workers.count="$count" "$@" --out one --quiet
  mpi "$count" "$QTRAIN" tiny.yaml "$@" --out several --quiet
  for file in $(cd one && find . -name metrics.json -o -name history.jsonl -o -name final.safetensors); do
    cmp one/"$file" several/"$file"
  done
}

@test "simulated and mpi: the same bytes, for every protocol and kind of message" {
  compare_transports 2
  compare_transports 3 dataset.held_out=100
  compare_transports 3 quantize.gradients.method=stochastic_linear dataset.batch_size=40
  compare_transports 2 workers.protocol=parameter_server quantize.weights.method=lab quantize.gradients.method=terngrad
  compare_transports 3 workers.protocol=parameter_server quantize.gradients.method=sign_sgd workers.batch_norm=first
  compare_transports 2 quantize.gradients.method=ef_sign_sgd "train.optimizer={name: sgd, momentum: 0}" workers.sharding=fixed workers.batch=each
  for protocol in all_reduce parameter_server; do
    compare_transports 3 workers.protocol=$protocol quantize.gradients.method=signum train.schedule.name=plateau \
      "train.optimizer={name: sgd, learning_rate: 1, clip_norm: 0.5}" train.epochs=6
    [ "$(grep -o '"learning_rate": [^,]*' several/history.jsonl | sort -u | wc -l)" -gt 2 ]
  done
  compare_transports 2 "quantize.gradients={method: dorefa, bits: 4}" \
    "quantize.activations={quantizer: lsq, bits: 2, ste: identity}"
}

@test "metrics say what was sent, and its share of float32" {
  "$QTRAIN" tiny.yaml workers.count=4 workers.protocol=parameter_server quantize.gradients.method=stochastic_linear --out a --quiet
  python3 - <<'PYTHON'
import json

metrics = json.load(open("a/metrics.json"))
communication = metrics["communication"]
assert (communication["workers"], communication["protocol"], communication["steps"]) == (4, "parameter_server", 30)
for direction in ("sent", "received"):
    part = communication[direction]
    assert part["bytes"] == 30 * part["bytes_per_step"] > 0
    assert part["bytes"] == sum(row["traffic"][direction + "_bytes"] for row in metrics["epochs"])
    assert part["share_of_float32"] < 1 / 10, part
PYTHON
  "$QTRAIN" tiny.yaml --out b --quiet
  run grep communication b/metrics.json
  [ "$status" -eq 1 ]
}

@test "a run of several processes resumes, also with another number of them" {
  method=quantize.gradients.method=ef_sign_sgd
  optimizer="train.optimizer={name: sgd, momentum: 0}"
  mpi 2 "$QTRAIN" tiny.yaml train.epochs=4 "$method" "$optimizer" --out whole --quiet
  mpirun --oversubscribe --quiet -n 2 "$QTRAIN" tiny.yaml train.epochs=400 "$method" "$optimizer" --out cut > out 2>&1 3>&- &
  pid=$!
  wait_for cut/checkpoint.safetensors
  pkill -KILL -P "$pid" || true
  wait $pid || true
  [ ! -e cut/metrics.json ]
  head -c 300 cut/history.jsonl > before
  mpirun --oversubscribe --quiet -n 3 "$QTRAIN" tiny.yaml train.epochs=400 "$method" "$optimizer" --out cut --resume > out 2>&1 3>&- &
  pid=$!
  for _ in $(seq 500); do grep -q "another number of workers" out && break; sleep 0.02; done
  pkill -KILL -P "$pid" || true
  wait $pid || true
  grep -q "another number of workers" out
  head -c 300 cut/history.jsonl | cmp - before
}

@test "a worker that dies ends the job; what is left goes on to the same bytes" {
  "$QTRAIN" tiny.yaml workers.count=2 train.epochs=40 --out whole --quiet
  mpirun --oversubscribe --quiet -n 2 "$QTRAIN" tiny.yaml train.epochs=40 --out cut > out 2>&1 3>&- &
  pid=$!
  wait_for cut/checkpoint.safetensors
  kill -KILL "$(pgrep -P "$pid" | tail -n 1)"
  status=0
  wait $pid || status=$?
  [ "$status" -ne 0 ]
  mpi 2 "$QTRAIN" tiny.yaml train.epochs=40 --out cut --resume --quiet
  for file in metrics.json history.jsonl final.safetensors; do cmp whole/$file cut/$file; done
}

@test "workers that disagree, or fail, say so on every rank and end with the right code" {
  sed 's/0.01/0.02/' tiny.yaml > other.yaml
  run mpirun --oversubscribe -n 1 "$QTRAIN" tiny.yaml --out a : -n 1 "$QTRAIN" other.yaml --out a
  [ "$status" -eq 2 ]
  [ "$(grep -c "worker 1 has another spec than worker 0" <<< "$output")" -eq 2 ]
  [[ $output == *"these keys differ: train.optimizer.learning_rate"* ]]
  [ ! -e a ]

  run mpi 2 "$QTRAIN" tiny.yaml workers.count=3 --out a
  [ "$status" -eq 2 ]
  [[ $output == *"workers.count is 3, but MPI started 2 processes"* ]]

  mkdir a
  run mpi 2 "$QTRAIN" tiny.yaml --out a
  [ "$status" -eq 2 ]
  [[ $output == *"worker 0: a exists"* ]]

  run mpirun --oversubscribe -n 1 "$QTRAIN" tiny.yaml dataset.name=mnist --out b : -n 1 -x QTRAIN_DATA=/nowhere "$QTRAIN" tiny.yaml dataset.name=mnist --out b
  [ "$status" -eq 3 ]
  [[ $output == *"worker "*"mnist"* ]]
}

@test "all ranks diverge together, with metrics" {
  run mpi 2 "$QTRAIN" tiny.yaml train.optimizer.learning_rate=1e30 quantize.weights.method=none \
    "quantize.activations={quantizer: none}" --out a
  [ "$status" -eq 4 ]
  grep -q '"status": "diverged"' a/metrics.json
  run mpi 2 "$QTRAIN" tiny.yaml train.optimizer.learning_rate=1e30 quantize.weights.method=none \
    "quantize.activations={quantizer: none}" workers.protocol=parameter_server --out b
  [ "$status" -eq 4 ]
  grep -q '"status": "diverged"' b/metrics.json
}

@test "a server that diverges in the last step of an epoch ends its workers" {
  run timeout 60 mpirun --oversubscribe --quiet -n 2 "$QTRAIN" tiny.yaml dataset.limit.train=32 model.batch_norm=false \
    quantize.weights.method=none "quantize.activations={quantizer: none}" \
    "train.optimizer={name: sgd, learning_rate: 1e39}" workers.protocol=parameter_server --out a
  [ "$status" -eq 4 ]
  [[ $output == *"see the message of worker 0"* ]]
}

@test "several seeds and stages go through all processes" {
  cat >> tiny.yaml <<'YAML'
stages:
- quantize: {weights: {method: none}, activations: {quantizer: none}}
- train: {epochs: 2}
YAML
  compare_transports 2 "seeds=[3, 4]"
}
