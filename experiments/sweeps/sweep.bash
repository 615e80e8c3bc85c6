# shellcheck shell=bash disable=SC2154  # spec and about are the sweep's
# Sourced by the sweeps beside it. A sweep sets `spec` (a name below experiments/ without .yaml, or the path of a .yaml
# file), has its own lines of help in `about`, and calls
#   add ROW COLUMN [path=value...]     once a case: its place in the tables, and what it changes in the spec
#   sweep "$@"                         at the end
rows=()
columns=()
words=()   # of all cases, one after the other
starts=()  # where each case's words start
counts=()  # how many it has

add() {
  rows+=("$1")
  columns+=("$2")
  starts+=("${#words[@]}")
  counts+=("$(($# - 2))")
  words+=("${@:3}")
}

usage() {
  cat <<TEXT
usage: $0 [-h | --list | --table | INDEX...] [-- path=value...]

$about

Without INDEX all ${#rows[@]} cases run, one after the other, and the tables of what is finished are printed; with the
environment's SLURM_ARRAY_TASK_ID, or INDEX from 0, those cases alone. Finished ones are passed over, interrupted ones
continued. A case that diverges is noted, the others go on, and the exit code is 4 at the end; any other failure ends the
sweep with its exit code. Words behind -- change every case; those that change results need an OUT of their own. A case
takes all cores unless it is told engine.threads.

  $0
  OUT=runs/quick $0 -- train.epochs=1
  parallel -j 2 $0 {} -- engine.threads=1 ::: {0..$((${#rows[@]} - 1))}
  sbatch --array=0-$((${#rows[@]} - 1)) --wrap $0
  $0 --table

  OUT          where runs go, OUT/NAME/ROW-COLUMN; runs/sweeps of the repository unless set
  QTRAIN       the program; build/qtrain of the repository unless set
  QTRAIN_DATA  folder of the data sets; data/ of the repository unless set
TEXT
}

fail() {
  echo "$(basename "$0"): $1; -h tells how it is used" >&2
  exit 2
}

# Runs case $1; 4 if it diverged, any other failure ends the sweep.
run_case() {
  if ! [[ $1 =~ ^(0|[1-9][0-9]*)$ ]] || (($1 >= ${#rows[@]})); then
    fail "there is no case $1, they are 0 to $((${#rows[@]} - 1))"
  fi
  local code=0 name=${rows[$1]}-${columns[$1]}
  local -a changes=("${words[@]:starts[$1]:counts[$1]}" "${extra[@]}")
  "$qtrain" "$spec" "${changes[@]}" --out "$out/$name" --skip-done --resume >&2 || code=$?
  ((code == 0 || code == 4)) || exit "$code"
  ((code == 0)) || echo "$(basename "$0"): case $1, $name, diverged" >&2
  return "$code"
}

# Prints a table a quantity that some case has: rows and columns in the order of their first case.
print_tables() {
  PYTHONPATH=$top/experiments python3 -B - "$out" "${rows[@]}" "${columns[@]}" <<'PYTHON'
import statistics, sys
from tables import cell, diverged, percent, print_table, runs_of

out, *names = sys.argv[1:]
cases = list(zip(names[: len(names) // 2], names[len(names) // 2 :]))
rows = list(dict.fromkeys(row for row, _ in cases))
columns = list(dict.fromkeys(column for _, column in cases))
runs = {(row, column): runs_of(f"{out}/{row}-{column}") for row, column in cases}
if not any(runs.values()):
    print("no case is finished", file=sys.stderr)


def result(key, show):
    return lambda runs: "diverged" if diverged(runs) else show([run["result"].get(key) for run in runs])


def share(direction):
    def show(runs):
        parts = [run.get("communication", {}).get(direction, {}).get("share_of_float32") for run in runs]
        return f"1/{1 / statistics.mean(parts):.1f}" if all(parts) else "-"

    return show


tables = {
    "train loss": result("train_loss", lambda values: cell(values, ".4f")),
    "quantized val accuracy": result("quantized_val_accuracy", percent),
    "bytes sent by workers, of float32": share("sent"),
    "bytes received by workers, of float32": share("received"),
}
for title, show in tables.items():
    cells = {case: show(finished) for case, finished in runs.items() if finished}
    if set(cells.values()) <= {"-"}:
        continue
    print_table(title, ["", *columns], [[row, *(cells.get((row, column), "") for column in columns)] for row in rows])
PYTHON
}

sweep() {
  top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
  [[ $spec == *.yaml ]] || spec=$top/experiments/$spec.yaml
  out=${OUT:-$top/runs/sweeps}/$(basename "$0" .sh)
  qtrain=${QTRAIN:-$top/build/qtrain}
  : "${QTRAIN_DATA:=$top/data}"
  export QTRAIN_DATA
  local -a chosen=()
  while (($#)) && [[ $1 != -- ]]; do
    chosen+=("$1")
    shift
  done
  extra=("${@:2}")
  case ${chosen[0]:-} in
    -h | --help) usage ;;
    --list) for i in "${!rows[@]}"; do echo "$i ${rows[i]} ${columns[i]} ${words[*]:starts[i]:counts[i]}"; done ;;
    --table) print_tables ;;
    -*) fail "there is no option ${chosen[0]}" ;;
    *)
      [[ -x $qtrain ]] || fail "there is no program $qtrain, build it with 'make build' or set QTRAIN"
      ((${#chosen[@]})) || chosen=(${SLURM_ARRAY_TASK_ID:+"$SLURM_ARRAY_TASK_ID"})
      local all=$((${#chosen[@]} == 0)) code=0
      ((all)) && chosen=("${!rows[@]}")
      for index in "${chosen[@]}"; do run_case "$index" || code=$?; done
      ((all == 0)) || print_tables || exit $?
      return "$code"
      ;;
  esac
}
