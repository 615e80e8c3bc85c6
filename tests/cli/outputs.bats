#!/usr/bin/env bats
# What a run leaves, and that it is the same each time.
load helper

@test "a run leaves its files; the last line of stdout is the path of metrics.json" {
  "$QTRAIN" tiny.yaml > stdout
  path=$(tail -n 1 stdout)
  [[ "$path" =~ ^runs/tiny-[0-9a-f]{8}-s1/metrics\.json$ ]]
  for file in metrics.json history.jsonl timing.json checkpoint.safetensors final.safetensors log.txt; do
    [ -s "$(dirname "$path")/$file" ] || { echo "no $file"; false; }
  done
  [ "$(wc -l < "$(dirname "$path")/history.jsonl")" -eq 3 ]
  grep -q '"status": "done"' "$path"
  grep -q '"quantized_val_accuracy"' "$path"
  grep -q '"codebook": \[-1, 1\]' "$path"
  grep -q '"isa"' "$(dirname "$path")/timing.json"
  grep -q '"shard_milliseconds"' "$(dirname "$path")/timing.json"
  grep -Eq 'computes (float32|bitwise); milliseconds a shard, float32 [0-9.]+, bitwise [0-9.]+' "$(dirname "$path")/log.txt"
  run grep -q "$(printf '\r')" stdout
  [ "$status" -eq 1 ]
}

@test "metrics.json is the same for two runs, any number of threads and every path" {
  for model in '{name: mlp, widths: [32, 16]}' '{name: lenet5}'; do
    rm -rf t1 t2 t3 off int8 bitwise
    for threads in 1 2 3; do "$QTRAIN" tiny.yaml "model=$model" engine.threads=$threads --out t$threads --quiet; done
    for path in off int8 bitwise; do
      "$QTRAIN" tiny.yaml "model=$model" engine.low_bit=$path engine.threads=2 --out $path --quiet
    done
    grep -q '"path": "bitwise"' bitwise/timing.json
    run grep -q '"path": "bitwise"' off/timing.json
    [ "$status" -eq 1 ]
    for other in t2 t3 off int8 bitwise; do
      cmp t1/metrics.json $other/metrics.json
      cmp t1/history.jsonl $other/history.jsonl
      cmp t1/final.safetensors $other/final.safetensors
    done
  done
}

@test "metrics.json is the same on every instruction set" {
  net=(model='{name: resnet20}' dataset='{name: shapes10, batch_size: 8, limit: {train: 16, test: 8}}' train.epochs=1)
  binary=quantize.weights.method=binary_connect
  precisions > can
  while read -r precision weights activations; do
    grep -qx "$precision" can || continue
    rm -rf reference other
    words=("${net[@]}" "engine.precision=$precision" $weights "quantize.activations=$activations")
    QTRAIN_ISA=reference "$QTRAIN" tiny.yaml "${words[@]}" --out reference --quiet
    for flag in avx2 avx512bw avx512_bitalg; do
      grep -qw "$flag" /proc/cpuinfo || continue
      isa=${flag%_bitalg}
      QTRAIN_ISA=$isa "$QTRAIN" tiny.yaml "${words[@]}" --out other/$isa --quiet
      grep -q "\"isa\": \"$isa\"" other/$isa/timing.json
      cmp reference/metrics.json other/$isa/metrics.json
      cmp reference/final.safetensors other/$isa/final.safetensors
    done
  done <<END
float32 quantize.weights.method=none {quantizer: lsq, bits: 2}
float32 quantize.weights.method=none {quantizer: sign, ste: swish_sign}
float32 $binary {quantizer: quantized_relu, bits: 2, ste: reverse_exponential}
bfloat16 $binary {quantizer: quantized_relu, bits: 4}
float32 $binary {quantizer: none}
END
}

@test "another seed gives other numbers" {
  "$QTRAIN" tiny.yaml --out a --quiet
  "$QTRAIN" tiny.yaml seed=2 --out b --quiet
  run cmp -s a/history.jsonl b/history.jsonl
  [ "$status" -eq 1 ]
}

@test "running the resolved spec of metrics.json again gives the same bytes" {
  "$QTRAIN" tiny.yaml --out a --quiet
  python3 -c 'import json; json.dump(json.load(open("a/metrics.json"))["spec"], open("spec.json", "w"))'
  "$QTRAIN" spec.json --out b --quiet
  cmp a/metrics.json b/metrics.json
}

@test "--quiet prints the path alone" {
  run "$QTRAIN" tiny.yaml train.epochs=1 --out a --quiet
  [ "$output" = a/metrics.json ]
}

@test "an existing folder is an error that names the ways out; --skip-done passes over a finished run" {
  "$QTRAIN" tiny.yaml train.epochs=1 --out a --quiet
  cp a/timing.json before
  run "$QTRAIN" tiny.yaml train.epochs=1 --out a
  [ "$status" -eq 2 ]
  [[ "$output" == *"--resume"* && "$output" == *"--skip-done"* ]]
  run "$QTRAIN" tiny.yaml train.epochs=1 --out a --skip-done
  [ "$status" -eq 0 ]
  [ "${lines[-1]}" = a/metrics.json ]
  cmp a/timing.json before
  run "$QTRAIN" tiny.yaml train.epochs=2 --out a --skip-done
  [ "$status" -eq 2 ]
  [[ "$output" == *"train.epochs"* ]]
  mkdir unfinished
  run "$QTRAIN" tiny.yaml --out unfinished --skip-done
  [ "$status" -eq 2 ]
}

@test "train.epochs=0 writes and evaluates the initial state" {
  "$QTRAIN" tiny.yaml train.epochs=0 --out a --quiet
  [ -s a/checkpoint.safetensors ] && [ -s a/final.safetensors ]
  grep -q '"epochs": \[\]' a/metrics.json
  python3 -c 'import json; r = json.load(open("a/metrics.json"))["result"]; assert r["status"] == "done" and 0 <= r["val_accuracy"] <= 1 and r["train_loss"] is None'
}

@test "images held out are not trained on, and the test images are apart from them" {
  "$QTRAIN" tiny.yaml dataset.held_out=120 train.epochs=6 --out held --quiet
  "$QTRAIN" tiny.yaml dataset.limit.train=200 train.epochs=6 --out fewer --quiet
  python3 - <<'PY'
import json
held, fewer = (json.load(open(f"{run}/metrics.json")) for run in ("held", "fewer"))
assert (held["dataset"]["train_images"], held["dataset"]["held_out_images"]) == (200, 120)
assert fewer["dataset"]["train_images"] == 200 and "held_out_images" not in fewer["dataset"]
for one, other in zip(held["epochs"], fewer["epochs"], strict=True):
    assert one["train_loss"] == other["train_loss"]
    for kind in ("loss", "accuracy"):
        assert one[f"test_{kind}"] == other[f"val_{kind}"]
        assert one[f"quantized_test_{kind}"] == other[f"quantized_val_{kind}"]
assert any(one["val_loss"] != one["test_loss"] for one in held["epochs"])
result = held["result"]
for weights in ("", "quantized_"):
    best = max(reversed(held["epochs"]), key=lambda row: row[f"{weights}val_accuracy"])
    assert result[f"{weights}test_accuracy_at_best_val"] == best[f"{weights}test_accuracy"]
assert result["quantized_test_accuracy"] == held["epochs"][-1]["quantized_test_accuracy"]
PY
  "$QTRAIN" tiny.yaml dataset.held_out=120 train.epochs=0 --out none --quiet
  python3 -c 'import json; r = json.load(open("none/metrics.json"))["result"]; assert r["test_accuracy"] == r["test_accuracy_at_best_val"] is not None'
  "$QTRAIN" tiny.yaml dataset.held_out=120 train.epochs=1 'seeds=[1, 2]' --out many --quiet
  grep -q '"quantized_test_accuracy_at_best_val_deviation": [0-9]' many/metrics.json
}

@test "model.init continues from the weights of another run and refuses those of another model" {
  "$QTRAIN" tiny.yaml quantize.weights.method=none train.epochs=1 --out float --quiet
  "$QTRAIN" tiny.yaml quantize.weights.method=none model.init=float/final.safetensors train.epochs=0 --out warm --quiet
  python3 -c 'import json; a, b = (json.load(open(f"{d}/metrics.json"))["result"]["val_loss"] for d in ("float", "warm")); assert a == b, (a, b)'
  run "$QTRAIN" tiny.yaml model.init=float/final.safetensors 'model.widths=[32]' --out other
  [ "$status" -eq 3 ]
  [[ "$output" == *"fc3.weight"* ]]
}

@test "a start that fails leaves no folder of its own, and none of its log in the way of the corrected command" {
  "$QTRAIN" tiny.yaml train.epochs=1 --out net --quiet
  words=(tiny.yaml model.init=net/final.safetensors train.epochs=1)
  for seeds in 'seeds=[]' 'seeds=[1, 2]'; do
    run "$QTRAIN" "${words[@]}" "$seeds" 'model.widths=[32]' --out made
    [ "$status" -eq 3 ]
    [ ! -e made ]
    "$QTRAIN" "${words[@]}" "$seeds" --out made --quiet
    run "$QTRAIN" "${words[@]}" "$seeds" 'model.widths=[32]' --out made --resume
    [ "$status" -eq 2 ]
    [ -s made/metrics.json ]
    rm -r made
  done
  mkdir made
  run "$QTRAIN" "${words[@]}" 'model.widths=[32]' --out made --resume
  [ "$status" -eq 3 ]
  [ -d made ]
}

@test "model.init takes no exported file, and no checkpoint whose latents are no weights: it names what it takes" {
  "$QTRAIN" tiny.yaml train.epochs=1 --out net --quiet
  "$QTRAIN" export net/final.safetensors packed.safetensors
  run "$QTRAIN" tiny.yaml model.init=packed.safetensors --out a
  [ "$status" -eq 3 ]
  [[ "$output" == *"model.init is packed.safetensors, an exported file"*"final.safetensors or checkpoint.safetensors"* ]]
  for method in md_tanh md_softmax md_softmax_s pmf; do
    "$QTRAIN" tiny.yaml quantize.weights.method=$method train.epochs=1 --out $method --quiet
    run "$QTRAIN" tiny.yaml model.init=$method/checkpoint.safetensors --out a
    [ "$status" -eq 3 ]
    [[ "$output" == *"checkpoint of a net trained by $method, "*"name the final.safetensors of its run"* ]]
    [ ! -e a ]
    "$QTRAIN" tiny.yaml model.init=$method/final.safetensors train.epochs=0 --out from-$method --quiet
  done
  "$QTRAIN" tiny.yaml quantize.weights.method=gd_tanh train.epochs=1 --out gd_tanh --quiet
  "$QTRAIN" tiny.yaml model.init=gd_tanh/checkpoint.safetensors train.epochs=0 --out from-gd_tanh --quiet
}

@test "metrics tell by a digest which net a run started from, and a finished run whose start has changed says so" {
  mkdir net
  for seed in 1 2; do "$QTRAIN" tiny.yaml seed=$seed train.epochs=0 --out float$seed --quiet; done
  cp float1/final.safetensors net/net.safetensors
  "$QTRAIN" tiny.yaml model.init=net/net.safetensors train.epochs=1 --out whole --quiet
  grep -A1 '"init_sha256"' whole/metrics.json | grep -qE '"model.init": "[0-9a-f]{64}"'
  "$QTRAIN" tiny.yaml model.init=net/net.safetensors 'seeds=[1, 2]' train.epochs=1 --out many --quiet
  cmp whole/metrics.json many/s1/metrics.json

  rm -r whole/metrics.json whole/final.safetensors net  # the checkpoint knows it
  "$QTRAIN" tiny.yaml model.init=net/net.safetensors train.epochs=1 --out whole --resume --quiet
  cmp whole/metrics.json many/s1/metrics.json
  run "$QTRAIN" tiny.yaml model.init=net/net.safetensors train.epochs=1 --out whole --skip-done
  [ "$status" -eq 0 ]
  [[ "$output" != *"another file"* ]]

  mkdir net
  cp float2/final.safetensors net/net.safetensors
  "$QTRAIN" tiny.yaml model.init=net/net.safetensors train.epochs=1 --out other --quiet
  run cmp <(grep -A1 init_sha256 other/metrics.json) <(grep -A1 init_sha256 whole/metrics.json)
  [ "$status" -eq 1 ]
  for place in whole many; do
    seeds=
    [ $place = whole ] || seeds='seeds=[1,2]'
    run "$QTRAIN" tiny.yaml model.init=net/net.safetensors $seeds train.epochs=1 --out $place --skip-done
    [ "$status" -eq 0 ]
    [[ "$output" == *"$place started from another file than model.init now is"* ]]
  done
  run "$QTRAIN" tiny.yaml model.init=net/net.safetensors 'seeds=[1, 2, 3]' train.epochs=1 --out many --resume
  [ "$status" -eq 0 ]
  [[ "$output" == *"many/s2 started from another file than model.init now is"* ]]
  run grep -c init_sha256 float1/metrics.json
  [ "$output" -eq 0 ]
}

@test "initial weights that are not there stop the run before it leaves anything" {
  run "$QTRAIN" tiny.yaml model.init=nothing.safetensors --out a
  [ "$status" -eq 3 ]
  [[ "$output" == *"model.init is nothing.safetensors"* ]]
  [ ! -e a ]
}

@test "a later stage may not have initial quantizers or another folder of data of its own" {
  cat >> tiny.yaml <<'YAML'
stages:
- train: {epochs: 1}
- {quantize: {init: nothing.safetensors}, dataset: {root: elsewhere}}
YAML
  "$QTRAIN" tiny.yaml quantize.weights.method=none --out float --quiet "stages=[{train: {epochs: 1}}]"
  run "$QTRAIN" tiny.yaml model.init=float/final.safetensors --out a
  [ "$status" -eq 2 ]
  [[ "$output" == *"quantize: changes init"* ]]
  [[ "$output" == *"dataset: changes root"* ]]
}

@test "--dry-run of several workers and stages" {
  run "$QTRAIN" tiny.yaml workers.count=2 "stages=[{train: {epochs: 1}}, {quantize: {weights: {method: none}}}]" --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == *"one step of 32 images"*"one step of 32 images"*"2 stages and 1 seed about"* ]]
}

@test "output that is lost is a failure of verbs that only print" {
  for verb in "check tiny.yaml" list reference --version --help; do
    status=0
    "$QTRAIN" $verb > /dev/full 2> errors || status=$?
    [ "$status" -eq 1 ]
    grep -q '^cannot write' errors
  done
}

@test "quantize.init gives the learned quantizers of another net to that of model.init" {
  "$QTRAIN" tiny.yaml quantize.weights.method=none train.epochs=1 --out float --quiet
  "$QTRAIN" tiny.yaml seed=2 train.epochs=1 --out other --quiet
  "$QTRAIN" tiny.yaml model.init=float/final.safetensors train.epochs=0 --out plain --quiet
  "$QTRAIN" tiny.yaml model.init=float/final.safetensors quantize.init=other/checkpoint.safetensors train.epochs=0 --out mixed --quiet
  python3 - <<'PY'
import json, struct

def tensors(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    return {k: data[8 + size + v["data_offsets"][0]:8 + size + v["data_offsets"][1]]
            for k, v in json.loads(data[8:8 + size]).items() if k != "__metadata__"}

other, plain, mixed = (tensors(f"{d}/final.safetensors") for d in ("other", "plain", "mixed"))
learned = [name for name in mixed if name.endswith("alpha/2bit")]
assert len(learned) == 2, list(mixed)
for name in mixed:
    assert mixed[name] == (other if name in learned else plain)[name], name
assert any(plain[name] != other[name] for name in learned)
PY
  run "$QTRAIN" tiny.yaml quantize.init=other/checkpoint.safetensors --out a
  [ "$status" -eq 2 ]
  [[ "$output" == *"quantize.init: needs model.init"* ]]
  run "$QTRAIN" tiny.yaml model.init=float/final.safetensors quantize.init=float/final.safetensors quantize.weights.method=lsq --out b
  [ "$status" -eq 3 ]
  [[ "$output" == *"float/final.safetensors has other quantizers than this net"*"weight.s"* ]]
  run "$QTRAIN" tiny.yaml model.init=float/final.safetensors quantize.init=other/checkpoint.safetensors \
    'quantize.activations={quantizer: sign}' --out c
  [ "$status" -eq 2 ]
  [[ "$output" == *"learn nothing"* ]]
  [ ! -e b ]
  [ ! -e c ]
}

@test "seeds run each in a folder of its own, with mean and deviation" {
  "$QTRAIN" tiny.yaml 'seeds=[1, 2]' train.epochs=1 --out many --quiet
  "$QTRAIN" tiny.yaml seed=2 train.epochs=1 --out one --quiet
  cmp one/metrics.json many/s2/metrics.json
  python3 - <<'PY'
import json, statistics
top = json.load(open("many/metrics.json"))
values = [json.load(open(f"many/s{s}/metrics.json"))["result"]["val_accuracy"] for s in (1, 2)]
assert abs(top["result"]["val_accuracy"] - statistics.mean(values)) < 1e-12
assert abs(top["result"]["val_accuracy_deviation"] - statistics.stdev(values)) < 1e-12
PY
  touch --date=2001-01-01 many/s1/metrics.json
  run "$QTRAIN" tiny.yaml 'seeds=[1, 2, 3]' train.epochs=1 --out many --skip-done
  [ "$status" -eq 2 ]
  "$QTRAIN" tiny.yaml 'seeds=[1, 2, 3]' train.epochs=1 --out many --resume --quiet
  "$QTRAIN" tiny.yaml 'seeds=[1, 2, 3]' train.epochs=1 --out anew --quiet
  cmp anew/metrics.json many/metrics.json
  [ "$(date -r many/s1/metrics.json +%Y)" -eq 2001 ]
}

@test "a seed that diverges leaves no means" {
  status=0
  "$QTRAIN" tiny.yaml 'seeds=[1, 2]' 'train.optimizer={name: sgd, learning_rate: 1.0e+30}' quantize.weights.method=none \
    'quantize.activations={quantizer: none}' model.batch_norm=false --out many > out || status=$?
  [ "$status" -eq 4 ]
  grep -q '^    diverged  *2$' out
  python3 -c 'import json; r = json.load(open("many/metrics.json"))["result"]; assert r["diverged_seeds"] == 2 and r["val_accuracy"] is None'
}

@test "a stage continues from the one before" {
  cat > stages.yaml <<'YAML'
name: stages
dataset: {name: shapes10, batch_size: 32, limit: {train: 320, test: 64}}
model: {name: mlp, widths: [32]}
train: {epochs: 2, optimizer: {name: adam, learning_rate: 0.01}}
stages:
- quantize: {weights: {method: none}}
- quantize: {weights: {method: none}}
  train: {epochs: 0}
YAML
  "$QTRAIN" stages.yaml --out a --quiet
  python3 -c 'import json; m = json.load(open("a/metrics.json")); assert m["result"]["val_loss"] == m["epochs"][-1]["val_loss"]; assert len(m["epochs"]) == 2'
}

@test "the metrics of a run of stages are a spec as good as its own, also under words over what stages share" {
  cat >> tiny.yaml <<'YAML'
stages:
- quantize: {weights: {method: none}, activations: {quantizer: none}}
- dataset: {batch_size: 64}
YAML
  "$QTRAIN" tiny.yaml train.epochs=1 --out a --quiet
  "$QTRAIN" a/metrics.json --out b --quiet
  cmp a/metrics.json b/metrics.json
  words=(seed=2 name=again dataset.limit.test=32 dataset.augment.flip=false train.epochs=2)
  run "$QTRAIN" check a/metrics.json "${words[@]}"
  [ "$status" -eq 0 ]
  "$QTRAIN" a/metrics.json "${words[@]}" --out c --quiet
  "$QTRAIN" tiny.yaml "${words[@]}" --out d --quiet
  cmp c/metrics.json d/metrics.json
  "$QTRAIN" eval a/checkpoint.safetensors dataset.limit.test=32 | grep -q "mlp on 32 images"
  "$QTRAIN" tiny.yaml train.epochs=1 'seeds=[1, 3]' --out many --quiet
  cmp a/metrics.json many/s1/metrics.json
  "$QTRAIN" check many/metrics.json name=again
}

@test "a diverging run exits 4, keeps its metrics and writes no number that is none" {
  run "$QTRAIN" tiny.yaml 'train.optimizer={name: sgd, learning_rate: 1.0e+30}' quantize.weights.method=none \
    'quantize.activations={quantizer: none}' model.batch_norm=false --out a
  [ "$status" -eq 4 ]
  [[ "$output" == *"step "* && "$output" == *"fc"* ]]
  grep -q '"status": "diverged"' a/metrics.json
  run grep -qiE '\b(nan|inf|infinity)\b' a/metrics.json
  [ "$status" -eq 1 ]
}

@test "a reader that goes away neither stops nor changes the run" {
  "$QTRAIN" tiny.yaml --out a --quiet
  "$QTRAIN" tiny.yaml --out b | true
  [ "${PIPESTATUS[0]}" -eq 0 ]
  cmp a/metrics.json b/metrics.json
}
