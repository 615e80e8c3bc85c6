#!/usr/bin/env bats
# Labs: the papers' closed-form problems, run by a spec with `lab:`.
load helper

LABS=$BATS_TEST_DIRNAME/../../experiments/labs

@test "a lab leaves metrics, timing and log; the last line of stdout is the path of metrics.json" {
  "$QTRAIN" "$LABS/two_layer_spurious_minimum.yaml" > stdout
  path=$(tail -n 1 stdout)
  [[ "$path" =~ ^runs/two_layer_spurious_minimum-[0-9a-f]{8}-s1/metrics\.json$ ]]
  grep -q "identity .* 201 " stdout
  for file in metrics.json timing.json log.txt; do [ -s "$(dirname "$path")/$file" ]; done
  grep -q "identity .* 201 " "$(dirname "$path")/log.txt"
  grep -q '"isa"' "$(dirname "$path")/timing.json"
  python3 - "$path" <<'PY'
import json, sys
m = json.load(open(sys.argv[1]))
assert list(m) == ["schema", "name", "spec", "lab", "runs", "result"], list(m)
assert m["lab"] == "two_layer_gaussian" and m["result"]["status"] == "done"
assert [r["ste"] for r in m["runs"]] == ["identity", "relu", "clipped_relu"]
assert all(set(r) == {"seed", "ste", "rows", "result"} for r in m["runs"])
jump = m["result"]["cases"][0]
assert jump["rise_step"] == 201 and abs(jump["largest_rise"] - 1.25) < 1e-9, jump
PY
}

@test "metrics.json is the same for any number of threads, and for the resolved spec run again" {
  spec=$LABS/subspace_table.yaml
  words=('lab.angles=[90, 60]' 'seeds=[1, 2, 3]')
  for threads in 1 2 3; do "$QTRAIN" "$spec" "${words[@]}" engine.threads=$threads --out t$threads --quiet; done
  cmp t1/metrics.json t2/metrics.json
  cmp t1/metrics.json t3/metrics.json
  python3 -c 'import json; json.dump(json.load(open("t1/metrics.json"))["spec"], open("spec.json", "w"))'
  "$QTRAIN" spec.json --out again --quiet
  cmp t1/metrics.json again/metrics.json
}

@test "figure 1: a row an eta for each number of samples" {
  "$QTRAIN" "$LABS/two_layer_figure1.yaml" --out a --quiet
  python3 - <<'PY'
import json
m = json.load(open("a/metrics.json"))
assert [r["samples"] for r in m["runs"] if r["ste"] == "relu"] == [10, 50, 1000, 100000]
for run in m["runs"]:
    assert [row["eta"] for row in run["rows"]][:2] == [0, 0.1] and len(run["rows"]) == 31
    assert set(run["rows"][0]) == {"eta", "sample_loss", "f"}
PY
}

@test "seeds: one entry a run, and means, medians and deviations over them" {
  "$QTRAIN" "$LABS/two_layer_near_global_minimum.yaml" lab.steps=20 --out many --quiet
  "$QTRAIN" "$LABS/two_layer_near_global_minimum.yaml" lab.steps=20 'seeds=[]' seed=3 --out one --quiet
  python3 - <<'PY'
import json, statistics
many, one = (json.load(open(f"{d}/metrics.json")) for d in ("many", "one"))
assert [r for r in many["runs"] if r["seed"] == 3] == one["runs"]
relu = [r["result"]["f"] for r in many["runs"] if r["ste"] == "relu"]
case = many["result"]["cases"][1]
assert abs(case["f"] - statistics.mean(relu)) < 1e-15 and abs(case["f_median"] - statistics.median(relu)) < 1e-15
assert abs(case["f_deviation"] - statistics.stdev(relu)) < 1e-12
PY
}

@test "mistakes in a lab are located and end with exit 2" {
  printf 'lab: {name: scalar, step: 3}\nmodel: {name: lenet5}\n' > bad.yaml
  run "$QTRAIN" bad.yaml train.epochs=1
  [ "$status" -eq 2 ]
  [[ "$output" == *"bad.yaml:1:21: lab.step: unknown key, did you mean 'steps'?"* ]]
  [[ "$output" == *"bad.yaml:2:8: model: stands beside lab, which takes its place"* ]]
  [[ "$output" == *"override 'train.epochs=1': train: stands beside lab"* ]]
  [ ! -e runs ]
  run "$QTRAIN" check bad.yaml
  [ "$status" -eq 2 ]
}

@test "a lab's folder: existing is an error, --skip-done passes over, --resume runs it again" {
  spec=$LABS/scalar_binary_connect_never_settles.yaml
  "$QTRAIN" "$spec" --out a --quiet
  run "$QTRAIN" "$spec" --out a
  [ "$status" -eq 2 ]
  [[ "$output" == *"--skip-done"* ]]
  run "$QTRAIN" "$spec" --out a --skip-done --quiet
  [ "$status" -eq 0 ]
  [ "$output" = a/metrics.json ]
  run "$QTRAIN" "$spec" lab.steps=3 --out a --skip-done
  [ "$status" -eq 2 ]
  [[ "$output" == *"lab.steps"* ]]
  cp a/metrics.json before
  rm a/metrics.json
  "$QTRAIN" "$spec" --out a --resume --quiet
  cmp a/metrics.json before
}

@test "SIGINT ends a lab with exit 130; --resume runs it again" {
  words=("$LABS/scalar_binary_connect_never_settles.yaml" lab.steps=100000000 --out a)
  env --default-signal=INT "$QTRAIN" "${words[@]}" > out 2>&1 3>&- &
  pid=$!
  wait_for a/log.txt
  kill -INT $pid
  status=0
  wait $pid || status=$?
  [ "$status" -eq 130 ]
  grep -q -- --resume out
  [ ! -e a/metrics.json ]
  "$QTRAIN" "$LABS/scalar_binary_connect_never_settles.yaml" lab.steps=10 --out a --resume --quiet
}

@test "a diverging lab exits 4, keeps its metrics and writes no number that is none" {
  run "$QTRAIN" "$LABS/linear_regression_float_float.yaml" 'lab.optimizer={name: sgd, learning_rate: 1.0e+30}' lab.w_clip=0 --out a
  [ "$status" -eq 4 ]
  grep -q '"status": "diverged"' a/metrics.json
  run grep -qiE '\b(nan|inf|infinity)\b' a/metrics.json
  [ "$status" -eq 1 ]
}

@test "a dry run prints the cases and runs nothing" {
  run "$QTRAIN" "$LABS/subspace_noise.yaml" engine.threads=2 --dry-run
  [ "$status" -eq 0 ]
  [ "${lines[0]}" = "subspace_classifier: 3 cases with 5 seeds on 2 threads" ]
  [ "${lines[1]}" = '  {"ste": "relu", "angle": 90}' ]
  [ ! -e runs ]
}

@test "list and reference know labs" {
  run "$QTRAIN" list labs
  [ "$status" -eq 0 ]
  for word in two_layer_gaussian subspace_classifier linear_regression scalar "v = v - rate E dl/dv"; do
    [[ "$output" == *"$word"* ]] || { echo "no $word"; false; }
  done
  run "$QTRAIN" reference
  [[ "$output" == *'With `lab.name: linear_regression`:'* ]]
}
