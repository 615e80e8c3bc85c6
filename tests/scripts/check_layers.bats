# The layer check accepts a tree that keeps to src/LAYERS and names each include that does not.

setup() {
  check="$BATS_TEST_DIRNAME/check_layers.sh"
  tree="$BATS_TEST_TMPDIR"
  mkdir -p "$tree"/src/{base,model,engine} "$tree/apps/tool"
  printf '# room: may include\nbase:\nmodel: base\nengine: base model\n' >"$tree/src/LAYERS"
  printf '#include <vector>\n#include "base/a.hpp"\n#include "base/deep/a.hpp"\n' >"$tree/src/base/a.cpp"
  printf '#include "model/m.hpp"\n#  include <dnnl.hpp>\n' >"$tree/src/engine/e.cpp"
  printf '#include "base/a.hpp"\n#include "local.hpp"\n' >"$tree/apps/tool/main.cpp"
}

refused() {  # refused FILE TEXT WORDS: with this text in it the tree fails, for this reason
  printf '%s\n' "$2" >>"$tree/$1"
  run "$check" "$tree"
  [ "$status" -ne 0 ]
  [ "${#lines[@]}" -eq 1 ]
  [[ "$output" == "$1: includes "*"$3"* ]]
}

@test "a tree within its layers passes silently" {
  run "$check" "$tree"
  [ "$status" -eq 0 ]
  [ -z "$output" ]
}

@test "an include against the table is named" {
  refused src/base/a.cpp '#include "model/m.hpp"' "src/base/ may include only"
}

@test "an indented include in angle brackets is seen, too" {
  refused src/model/m.hpp '  #include <engine/e.hpp>' "src/model/ may include only: base"
}

@test "oneDNN outside the engine is named" {
  refused src/model/m.hpp '#include <dnnl.hpp>' "only src/engine may include oneDNN"
  rm "$tree/src/model/m.hpp"
  refused src/base/b.hpp '#include "oneapi/dnnl/dnnl.hpp"' "only src/engine may include oneDNN"
}

@test "a program may include run and base only" {
  refused apps/tool/main.cpp '#include "engine/e.hpp"' "apps/tool/ may include only"
}

@test "a folder without a row is named" {
  mkdir "$tree/src/extra"
  refused src/extra/x.cpp '#include <vector>' "no row in src/LAYERS"
}
