#!/usr/bin/env bash
# Runs the short versions of the papers' experiments and prints a Markdown table for each paper.
usage() {
  cat <<'TEXT'
usage: experiments/run_short.sh [-h] [--out DIR] [FOLDER...] [-- path=value...]

Runs every *_short.yaml of the folders below experiments/ (all that have some, unless FOLDERs are named), each after the
run whose checkpoint it starts from, and prints for each folder a table of what was reached. Runs that are finished are
passed over, interrupted ones continued. A run that diverges is noted, what starts from it is not run, the others go on,
and the exit code is 4 at the end; any other failure ends the script with its exit code.

  --out DIR   where runs go, DIR/FOLDER/NAME; runs/ of the repository unless given
  -- ...      words that every run takes, such as engine.precision=float32 on a CPU without bfloat16
  QTRAIN      the program; build/qtrain of the repository unless set
  QTRAIN_DATA folder of the data sets; data/ of the repository unless set

The tables go to the standard output, what qtrain says to the standard error.
TEXT
}

fail() {
  echo "run_short.sh: $1; -h tells how it is used" >&2
  exit 2
}

# Runs spec $1, a path such as experiments/ste/resnet20_float.yaml, after those it starts from; 4 if one diverged.
run_spec() {
  local spec=$1 place=$1 code=0 key line start
  local -a words=()
  [[ -z ${finished[$spec]:-} ]] || return "${finished[$spec]}"
  [[ -f $spec ]] || fail "there is no $spec"
  place=${place#experiments/}
  place=$out/${place%.yaml}
  for key in model quantize; do
    line='model:.*'
    [[ $key == model ]] || line='  '
    start=$(sed -n "s|^${line}init: *runs/\([^, }]*\)/checkpoint\.safetensors.*|\1|p" "$spec")
    [[ -n $start ]] || continue
    if ! run_spec "experiments/$start.yaml"; then
      echo "run_short.sh: $spec is not run, it starts from $start, which diverged" >&2
      finished[$spec]=4
      return 4
    fi
    [[ $out == runs ]] || words+=("$key.init=$out/$start/checkpoint.safetensors")
  done
  "$qtrain" "$spec" ${words[@]+"${words[@]}"} ${common[@]+"${common[@]}"} --out "$place" --skip-done --resume >&2 || code=$?
  ((code == 0 || code == 4)) || exit "$code"
  ((code == 0)) || echo "run_short.sh: $spec diverged" >&2
  finished[$spec]=$code
  return "$code"
}

# Prints the table of folder $1: its short specs, what the paper has, what the finished runs have.
print_table() {
  PYTHONPATH=experiments python3 -B - "$out" "$1" <<'PYTHON'
import glob, os, re, sys
from tables import cell, diverged, percent, print_table, runs_of

out, folder = sys.argv[1:]


def row(name, published, runs, show, measure):
    """The cells of a spec; `show` prints what `measure` names of each run."""
    results = [run["result"] for run in runs]
    quantized = [result.get(f"quantized_val_{measure}") for result in results]
    training = [result.get(f"val_{measure}") for result in results]
    reached = [
        show(quantized),
        "-" if training == quantized else show(training),
        cell([result.get("train_loss") for result in results], ".4f"),
        percent([run["epochs"][-1].get("sign_changes") if run["epochs"] else None for run in runs]),
    ]
    if diverged(runs):
        reached = ["diverged", "-", "diverged", "-"]
    precision = runs[0].get("spec", {}).get("engine", {}).get("precision", "float32")
    return [f"`{name}`", published.group(1) if published else "-", *reached, precision]


def print_rows(title, rows, measure):
    head = ["spec", "published", f"quantized val {measure}", f"val {measure} with the weights of training"]
    head += ["train loss", "sign changes", "precision"]
    for column, usual in ((6, "float32"), (5, "-"), (3, "-")):
        if all(row[column] == usual for row in rows):
            for cells in (head, *rows):
                del cells[column]
    print_table(f"### {title}", head, rows)


images, texts = [], []
for spec in sorted(glob.glob(f"experiments/{folder}/*_short.yaml")):
    name = os.path.basename(spec)[: -len(".yaml")]
    with open(spec, encoding="utf-8") as file:
        published = re.search(r"^# Published: (.*)$", file.read(), re.MULTILINE)
    runs = runs_of(f"{out}/{folder}/{name}")
    if not runs:
        continue  # what it starts from diverged
    if "val_perplexity" in runs[0]["result"]:
        texts.append(row(name, published, runs, lambda values: cell(values, ".2f"), "perplexity"))
    else:
        images.append(row(name, published, runs, percent, "accuracy"))
if images:
    print_rows(folder, images, "accuracy")
if texts:
    print_rows(f"{folder}, language models", texts, "perplexity")
PYTHON
}

out=
folders=()
common=()  # words of every run
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --out) [[ -n ${2:-} ]] || fail "--out needs a folder"; out=$(realpath -m "$2"); shift ;;
    --) common=("${@:2}"); break ;;
    -*) fail "there is no option $1" ;;
    *) folders+=("${1%/}") ;;
  esac
  shift
done
[[ -z ${QTRAIN:-} ]] || qtrain=$(realpath -m "$QTRAIN")
[[ -z ${QTRAIN_DATA:-} ]] || QTRAIN_DATA=$(realpath -m "$QTRAIN_DATA")
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
[[ -n $out ]] || out=runs
[[ $out != "$PWD/runs" ]] || out=runs
: "${qtrain:=$PWD/build/qtrain}"
[[ -x $qtrain ]] || fail "there is no program $qtrain, build it with 'make build' or set QTRAIN"

shopt -s nullglob
declare -A finished=()  # exit code of each spec that was run
code=0
if ((${#folders[@]} == 0)); then
  for spec in experiments/*/*_short.yaml; do
    folder=$(basename "$(dirname "$spec")")
    [[ " ${folders[*]} " == *" $folder "* ]] || folders+=("$folder")
  done
fi
for i in "${!folders[@]}"; do
  folders[i]=$(basename "${folders[i]}")
  specs=("experiments/${folders[i]}"/*_short.yaml)
  ((${#specs[@]})) || fail "experiments/${folders[i]} has no short specs"
done
for folder in "${folders[@]}"; do
  for spec in "experiments/$folder"/*_short.yaml; do run_spec "$spec" || code=$?; done
  print_table "$folder" || exit $?
done
exit "$code"
