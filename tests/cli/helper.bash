# Shared by the command-line tests: $QTRAIN is the program, $ROOM a fresh folder for each test.
QTRAIN=$(realpath "${QTRAIN:-./build/qtrain}")

setup() {
  ROOM=$(mktemp -d)
  cat > "$ROOM/tiny.yaml" <<'YAML'
name: tiny
dataset: {name: shapes10, batch_size: 32, limit: {train: 320, test: 64}, augment: {crop_padding: 2, flip: true}}
model: {name: mlp, widths: [32, 16]}
quantize:
  weights: {method: binary_connect}
  activations: {quantizer: quantized_relu, bits: 2, alpha: learned}
train:
  epochs: 3
  optimizer: {name: adam, learning_rate: 0.01}
YAML
  cd "$ROOM" || return 1
}

teardown() {
  cd / && rm -rf "$ROOM"
}

# The precisions that this CPU can train in; where it lacks one the program must say so.
precisions() {
  echo float32
  run "$QTRAIN" tiny.yaml engine.precision=bfloat16 --dry-run
  if [ "$status" -eq 0 ]; then
    echo bfloat16
  else
    [[ $status -eq 2 && $output == *"set engine.precision to float32"* ]]
  fi
}

# Waits until file $1 exists, ten seconds at most.
wait_for() {
  for _ in $(seq 500); do
    [ -e "$1" ] && return 0
    sleep 0.02
  done
  return 1
}
