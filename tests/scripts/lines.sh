#!/usr/bin/env bash
# lines.sh: lines of each room, and the files above 400 lines, which must be split or say why not.
set -euo pipefail
find src apps -name '*.?pp' -print0 | xargs -0 awk '
  { split(FILENAME, part, "/"); ++room[part[1] "/" part[2]]; ++file[FILENAME]; ++total }
  END {
    for (name in room) printf "%7d  %s\n", room[name], name | "sort -k2"
    close("sort -k2")
    printf "%7d  in all\n", total
    for (name in file) if (file[name] > 400) { printf "%7d  %s is above 400 lines\n", file[name], name; ++long }
    if (!long) print "no file is above 400 lines"
  }'
