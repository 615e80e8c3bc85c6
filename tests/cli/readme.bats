#!/usr/bin/env bats
# What the README says is so.

load helper

@test "the README's spec reference is what the program prints" {
  cd "$BATS_TEST_DIRNAME/../.."
  run diff <(sed '1,/<!-- made by/d' README.md | sed '1{/^$/d}') <("$QTRAIN" reference)
  [ "$status" -eq 0 ] || { echo "$output"; false; }
}

@test "the README's quantizer compiles" {
  cd "$BATS_TEST_DIRNAME/../.."
  file=$BATS_TEST_TMPDIR/mean_sign.cpp
  sed -n '/^```cpp$/,/^```$/p' README.md | sed '/^```/d' >"$file"
  grep -q 'read_mean_sign' "$file"
  run "${CXX:-c++}" -std=c++20 -Wall -Wextra -Wconversion -Wshadow -Werror -Isrc -fsyntax-only "$file"
  [ "$status" -eq 0 ] || { echo "$output"; false; }
}

@test "every command of the README's tables exists" {
  cd "$BATS_TEST_DIRNAME/../.."
  for verb in check list reference eval export; do
    run "$QTRAIN" "$verb" --help
    [ "$status" -eq 0 ]
  done
  for flag in --out --resume --skip-done --dry-run --quiet; do
    "$QTRAIN" --help | grep -q -e "$flag"
  done
}

@test "every make verb of the README exists" {
  cd "$BATS_TEST_DIRNAME/../.."
  for verb in run build test test-isa asan clang tidy format reference layers lines bench clean; do
    run make --dry-run "$verb"
    [ "$status" -eq 0 ] || { echo "$verb: $output"; false; }
  done
}
