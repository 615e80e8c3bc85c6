#!/usr/bin/env bats
# The specs below experiments/, and the script that runs the short ones.
load helper

EXPERIMENTS=$BATS_TEST_DIRNAME/../../experiments

# A program in place of qtrain: notes its words in calls, and leaves metrics; fails for a spec named in $FAILING,
# and diverges after an epoch for one named in $DIVERGING.
make_stub() {
  cat > stub <<'SH'
#!/bin/sh
echo "$*" >> "$CALLS"
case $1 in *"${FAILING:-nothing}"*) exit 7 ;; esac
while [ "$1" != --out ]; do shift; done
mkdir -p "$2"
status=done
case $2 in *"${DIVERGING:-nothing}") status=diverged ;; esac
echo '{"result": {"status": "'$status'", "quantized_val_accuracy": 0.5, "val_accuracy": 0.25, "train_loss": 1.25},' \
  '"epochs": [{"sign_changes": 0.125}]}' > "$2/metrics.json"
[ $status = done ] || exit 4
SH
  chmod +x stub
  export QTRAIN=$ROOM/stub CALLS=$ROOM/calls
}

@test "every spec is good" {
  mapfile -t specs < <(find "$EXPERIMENTS" -name '*.yaml')
  [ "${#specs[@]}" -gt 4 ]
  run "$QTRAIN" check "${specs[@]}"
  [ "$status" -eq 0 ] || { grep -v ': good$' <<< "$output"; false; }
}

@test "every spec bears the name of its file" {
  for spec in "$EXPERIMENTS"/*.yaml "$EXPERIMENTS"/*/*.yaml; do
    grep -qx "name: $(basename "$spec" .yaml)" "$spec" || { echo "$spec"; false; }
  done
}

@test "every spec starts from scratch or from the checkpoint of another spec" {
  for spec in "$EXPERIMENTS"/*.yaml "$EXPERIMENTS"/*/*.yaml; do
    for init in $(sed -n 's/.*init: *\([^, }]*\).*/\1/p' "$spec"); do
      run=${init#runs/}
      [ "$init" = "runs/${run%/checkpoint.safetensors}/checkpoint.safetensors" ] || { echo "$spec: $init"; false; }
      [ -f "$EXPERIMENTS/${run%/checkpoint.safetensors}.yaml" ] || { echo "$spec: $init"; false; }
    done
  done
}

@test "every short spec says what is published" {
  for spec in "$EXPERIMENTS"/*/*_short.yaml; do
    grep -q '^# Published: ' "$spec" || { echo "$spec"; false; }
  done
}

@test "run_short.sh -h prints its usage" {
  run "$EXPERIMENTS/run_short.sh" -h
  [ "$status" -eq 0 ]
  [[ "$output" == "usage: "* && "$output" == *"--out DIR"* ]]
}

@test "run_short.sh refuses what it does not know, exit 2" {
  make_stub
  for words in "--nonsense" "nothing_of_this_name" "--out"; do
    # shellcheck disable=SC2086
    run "$EXPERIMENTS/run_short.sh" $words
    [ "$status" -eq 2 ] || { echo "$words: $status $output"; false; }
    [[ "$output" == "run_short.sh: "* ]]
  done
  [ ! -e "$CALLS" ]
}

@test "run_short.sh runs what a spec starts from first and once, and prints a table" {
  make_stub
  run "$EXPERIMENTS/run_short.sh" --out made proxquant
  [ "$status" -eq 0 ]
  first=$(grep -n "^experiments/warm_start/resnet20_float.yaml --out $ROOM/made/warm_start/resnet20_float " "$CALLS")
  then=$(grep -n -m 1 '^experiments/proxquant/resnet20' "$CALLS")
  [ "${first%%:*}" -lt "${then%%:*}" ]
  [ "$(grep -c warm_start/resnet20_float.yaml "$CALLS")" -eq 1 ]
  grep -q "^experiments/proxquant/resnet20_prox_quant_short.yaml model.init=$ROOM/made/warm_start/resnet20_float/check" "$CALLS"
  [[ "$output" == *"### proxquant"* && "$output" == *'| `resnet20_prox_quant_short` | 90.65 %'*'| 50.00 % | 25.00 % | 1.2500 | 12.50 % |'* ]]
}

@test "run_short.sh gives words behind -- to every run, warm starts too" {
  make_stub
  "$EXPERIMENTS/run_short.sh" binary_relax --out made -- engine.precision=float32 "train.schedule={name: cosine}"
  [ "$(wc -l < "$CALLS")" -eq 3 ]
  [ "$(grep -c ' engine.precision=float32 train.schedule={name: cosine} --out ' "$CALLS")" -eq 3 ]
}

@test "run_short.sh runs what the quantizers of a spec come from first, too" {
  make_stub
  "$EXPERIMENTS/run_short.sh" --out made qil
  intervals=qil/heterogeneous_intervals_on_shapes10_short
  applied=$(grep -n "^experiments/qil/heterogeneous_applied_to_cifar10_short.yaml " "$CALLS")
  [[ $applied == *" model.init=$ROOM/made/warm_start/resnet20_float/checkpoint.safetensors quantize.init=$ROOM/made/$intervals/checkpoint.safetensors "* ]]
  before=$(grep -n "^experiments/$intervals.yaml " "$CALLS")
  [ "${before%%:*}" -lt "${applied%%:*}" ]
}

@test "run_short.sh ends with the exit code of the run that failed" {
  make_stub
  FAILING=resnet20_binary_connect_short run "$EXPERIMENTS/run_short.sh" --out made proxquant
  [ "$status" -eq 7 ]
  [ "$(tail -n 1 "$CALLS" | cut -d ' ' -f 1)" = experiments/proxquant/resnet20_binary_connect_short.yaml ]
}

@test "run_short.sh goes on after a run that diverges, without what starts from it, exit 4" {
  make_stub
  DIVERGING=loss_aware/lab_mnist_lab_short run "$EXPERIMENTS/run_short.sh" --out made loss_aware
  [ "$status" -eq 4 ]
  [[ "$output" == *"run_short.sh: experiments/loss_aware/lab_mnist_lab_short.yaml diverged"* ]]
  grep -q '^experiments/loss_aware/laq_mnist_laq3_linear_short.yaml ' "$CALLS"
  row=$(grep '| `lab_mnist_lab_short` |' <<< "$output")
  [[ $row == *"| diverged | - | diverged | - |"* ]]

  DIVERGING=warm_start/resnet20_float run "$EXPERIMENTS/run_short.sh" --out made binary_relax
  [ "$status" -eq 4 ]
  [[ "$output" == *"experiments/binary_relax/resnet20_binary_relax_short.yaml is not run"* ]]
  [ "$(tail -n 1 "$CALLS" | cut -d ' ' -f 1)" = experiments/warm_start/resnet20_float.yaml ]
}

# A program in place of qtrain whose runs have two seeds, tested with other weights than the quantized ones.
make_seeds_stub() {
  make_stub
  cat > stub <<'SH'
#!/bin/sh
while [ "$1" != --out ]; do shift; done
mkdir -p "$2/s1" "$2/s2"
echo '{"runs": [{"folder": "s1"}, {"folder": "s2"}], "result": {}}' > "$2/metrics.json"
for seed in 1 2; do
  echo '{"result": {"quantized_val_accuracy": 0.'$seed', "val_accuracy": 0.75, "train_loss": '$seed'},' \
    '"epochs": [{"sign_changes": 0.125}]}' > "$2/s$seed/metrics.json"
done
SH
}

@test "run_short.sh prints means and deviations of several seeds, and the accuracy in training where it is another" {
  make_seeds_stub
  run "$EXPERIMENTS/run_short.sh" --out made binary_connect
  [ "$status" -eq 0 ]
  [[ "$output" == *"| quantized val accuracy | val accuracy with the weights of training | train loss | sign changes |"* ]]
  [[ "$output" == *"| 15.00 +- 7.07 % | 75.00 +- 0.00 % | 1.5000 +- 0.7071 | 12.50 +- 0.00 % |"* ]]
}

# A program in place of qtrain whose runs of texts have perplexities.
make_text_stub() {
  make_stub
  cat > stub <<'SH'
#!/bin/sh
spec=$1
while [ "$1" != --out ]; do shift; done
mkdir -p "$2"
case $spec in
  *war_and_peace*) result='"quantized_val_perplexity": 7.125, "val_perplexity": 7.125' ;;
  *) result='"quantized_val_accuracy": 0.5, "val_accuracy": 0.5' ;;
esac
echo '{"result": {'$result', "train_loss": 1.25}, "epochs": [{"sign_changes": 0.125}]}' > "$2/metrics.json"
SH
}

@test "run_short.sh prints language models in a table of their own, by perplexity" {
  make_text_stub
  run "$EXPERIMENTS/run_short.sh" --out made loss_aware
  [ "$status" -eq 0 ]
  [[ "$output" == *"### loss_aware"*'| `lab_mnist_lab_short` |'*'| 50.00 % | 1.2500 |'*"### loss_aware, language models"* ]]
  [[ "$output" == *"| quantized val perplexity | train loss |"*'| `lab_war_and_peace_lab_short` |'*'| 7.12 | 1.2500 |'* ]]
}
