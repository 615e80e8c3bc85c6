#!/usr/bin/env bash
# check_layers.sh [ROOT]: lists each include that src/LAYERS forbids, and fails if there is one.
set -euo pipefail
cd "${1:-.}"
allowed=$(sed 's/#.*//; /^[[:space:]]*$/d' src/LAYERS; for app in apps/*/; do echo "$app: run base"; done)
grep -rHoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<][^">]+[">]' src apps --include='*.?pp' |
  awk -F '[:"<>]' -v allowed="$allowed" '
    BEGIN {
      for (n = split(allowed, rows, "\n"); n > 0; --n) {
        split(rows[n], row, ":")
        room = row[1] ~ /^apps\// ? row[1] : "src/" row[1] "/"
        may[room] = row[2] " "
        if (row[1] !~ /^apps\//) rooms[row[1]]
      }
    }
    {
      split($1, folder, "/"); from = folder[1] "/" folder[2] "/"
      split($3, parts, "/"); to = parts[1]
      if (!(from in may)) problem = "its folder has no row in src/LAYERS"
      else if ($3 ~ /(^|\/)dnnl/ && from != "src/engine/") problem = "only src/engine may include oneDNN"
      else if ($3 ~ /\// && to in rooms && from != "src/" to "/" && index(may[from], " " to " ") == 0)
        problem = from " may include only:" may[from]
      else next
      print $1 ": includes " $3 ": " problem; failed = 1
    }
    END { exit failed }'
