#!/usr/bin/env bash
# One slice of the recipe maze-paper, within 10 minutes, on a machine that comes and goes.
#
#   benchmarks/maze_paper_gpu.sh DIR [options of fgrpo run]
#   benchmarks/maze_paper_gpu.sh n8 --arms '*-n8'
#
# DIR carries the run from slice to slice, in at most 8 files of 16 MiB: parts of an archive of the
# run folder and its base model. Start with an empty DIR, and give every slice the same options.
# One group size (three arms, one seed) takes up to 100 MiB (120 without zstd): give every other its
# own DIR.
#
# A part's name says its slice, its number, how many there are, and how its SHA-256 begins. New
# parts are written, compared with the run folder and renamed before the old are deleted, so a kill
# at any moment leaves one whole set in DIR. To unpack one by hand: cat slice-0003.* | tar -xz
# (or, for .tar.zst, tar -x --zstd).
#
# The run is interrupted after SLICE_SECONDS, or by SIGTERM or Ctrl-C before. It keeps what it had
# saved: at most checkpoint_every steps and part of an evaluation are done again.
#
# Environment: SLICE_SECONDS (540; leave a minute for packing), DEVICE (cuda), RECIPE (maze-paper),
# PYTHON (python3), WORK (where to unpack; a temporary folder), PART_BYTES (16 MiB).
#
# Exit status: 0 if DIR holds the result of this slice (the last line says whether more is to do),
# 130 if it was interrupted and does so too; else that of fgrpo run, or 1, with a line that says why.
set -euo pipefail
shopt -s nullglob

readonly MOST_PARTS=8 GRACE_SECONDS=20
readonly PART_NAME='^slice-([0-9]{4,})\.tar\.(gz|zst)\.([0-9]{2})-of-([0-9]{2})\.([0-9a-f]{16})$'

trap '' PIPE  # with nobody reading any more, the run is stored all the same
say() { printf 'maze_paper_gpu: %s\n' "$*" 2> /dev/null || true; }
fail() { say "$@" >&2; exit 1; }

has() { command -v "$1" > /dev/null; }
pack() { if [[ $1 == zst ]]; then zstd -q -9 -T0 -c; else gzip -6 -c; fi; }
unpack() { if [[ $1 == zst ]]; then zstd -q -d -c; else gzip -d -c; fi; }
hash_of() { sha256sum < "$1" | cut -c -16; }

# Look through DIR: `parts` are those of the newest whole set, `slice` its number and `format` its
# compression; `newest` is the highest number of all; `all` are the parts of every set.
find_parts() {
  local path kind total
  local -A found=() kinds=() numbered=()
  all=() parts=() slice=0 newest=0 format=""
  for path in "$DIR"/slice-*; do  # in the order of their numbers
    [[ ${path##*/} =~ $PART_NAME ]] || continue
    all+=("$path")
    newest=$((10#${BASH_REMATCH[1]})) kind=${BASH_REMATCH[2]}-of-${BASH_REMATCH[4]}
    if [[ ${kinds[$newest]:=$kind} != "$kind" || -n ${numbered[$newest.${BASH_REMATCH[3]}]:-} ]]; then
      fail "$DIR: two machines wrote slice $newest, and ${path##*/} is of another set than those" \
        "before it; delete the parts of one (their times tell them apart) or take an earlier copy"
    fi
    numbered[$newest.${BASH_REMATCH[3]}]=yes
    found[$newest]+="$path"$'\n'
    total=$((10#${BASH_REMATCH[4]}))
    if (($(grep -c . <<< "${found[$newest]}") == total)); then
      slice=$newest format=${BASH_REMATCH[2]}
    fi
  done
  if ((slice)); then
    mapfile -t parts < <(printf '%s' "${found[$slice]}")
  elif ((newest)); then
    fail "$DIR: slice $newest lacks parts and no other is whole; copy them here," \
      "or delete $DIR/slice-* to start over"
  fi
  if ((newest > slice)); then say "$DIR: slice $newest is not whole; going on from slice $slice"; fi
}

# Unpack what earlier slices left.
restore() {
  local path there
  for path in "${parts[@]}"; do
    [[ ${path##*.} == "$(hash_of "$path")" ]] ||
      fail "$path: corrupt (its SHA-256 is not the one in its name); copy it again"
  done
  [[ $format != zst ]] || has zstd || fail "$DIR was packed with zstd: install zstd"
  cat -- "${parts[@]}" | unpack "$format" | tar -xf - --no-same-owner -C "$WORK" ||
    fail "$DIR: slice $slice could not be unpacked into $WORK; is there room?"
  there=("$WORK"/runs/*/recipe.yaml)
  [[ -e $RUN ]] ||
    fail "$DIR carries a run of another recipe than $RECIPE" \
      "(${there[*]#"$WORK/"}): name another DIR, or that RECIPE"
}

# Run until the end or the time's end; leave fgrpo's exit status in `code`.
train() {
  local runner
  # In the background, so that a signal is heard at once. A job there would ignore SIGINT.
  timeout --foreground --signal=INT --kill-after="$GRACE_SECONDS" "$SLICE_SECONDS" \
    env --default-signal=INT "$PYTHON" -m fgrpo run "$RECIPE" --device "$DEVICE" --workers 1 \
    --out "$RUN" "$@" 9<&- &
  runner=$!
  trap 'interrupted=yes; kill -ALRM "$runner" 2> /dev/null || true' INT TERM HUP  # its time's end
  while :; do
    code=0
    wait "$runner" || code=$?
    kill -0 "$runner" 2> /dev/null || break
  done
  trap '' INT TERM HUP
  if ((code == 137)); then sleep 1; fi  # killed: its workers end when they see it gone
}

# Put the run into DIR in place of what was there.
store() {
  local new=$DIR/.new name number path
  rm -rf -- "$new"
  mkdir -- "$new"
  format=gz
  if has zstd; then format=zst; fi
  tar -cf - -C "$WORK" --exclude=lock --exclude='*.tmp' runs | pack "$format" |
    split -b "$PART_BYTES" -d -a 3 - "$new/"
  parts=("$new"/*)
  if ((${#parts[@]} > MOST_PARTS)); then
    rm -rf -- "$new"
    fail "this slice takes more than $MOST_PARTS parts of $PART_BYTES bytes: carry fewer arms in" \
      "one DIR, or evaluate less often"
  fi
  cat -- "${parts[@]}" | unpack "$format" | tar -df - -C "$WORK"
  sync -- "${parts[@]}"
  number=0
  for path in "${parts[@]}"; do
    number=$((number + 1))
    printf -v name 'slice-%04d.tar.%s.%02d-of-%02d.%s' "$((newest + 1))" "$format" "$number" \
      "${#parts[@]}" "$(hash_of "$path")"
    mv -- "$path" "$DIR/$name"  # the last of these makes the new set the newest whole one
  done
  sync -- "$DIR"
  if ((${#all[@]})); then rm -f -- "${all[@]}"; fi
  rmdir -- "$new"
  find_parts
}

# Say for each arm how far it is saved.
steps() {
  local folder state folders=("$RUN"/arms/*/seed-*)
  ((${#folders[@]})) || printf ', no arm begun'
  for folder in "${folders[@]}"; do
    state=$folder/state.safetensors
    printf ', %s ' "${folder#"$RUN"/arms/}"
    if [[ -e $folder/model/model.safetensors ]]; then
      printf 'done'
    elif [[ -e $state ]]; then
      # The file begins with {"__metadata__":{"training":"{\"step\": 400, ...
      { head -c 200 "$state" | tr -d '\0' | grep -aoE 'step\\": [0-9]+' || echo '? ?'; } |
        cut -d ' ' -f 2 | tr -d '\n'
    else
      printf '0'
    fi
  done
}

# Whatever the end: lose nothing that is not in DIR.
leave() {
  if [[ -n $storing ]]; then
    rm -rf -- "$DIR/.new"
    say "not stored: $DIR holds the last slice, and the run lies in $WORK" >&2
  elif [[ -n $temporary ]]; then
    rm -rf -- "$temporary"
  fi
}

(($# > 0)) || fail 'name the folder that carries the run: maze_paper_gpu.sh DIR [options]'
DIR=$1
shift
[[ $DIR != -* ]] || fail "'$DIR': the first argument is the folder that carries the run; ./$DIR if so named"
for option in "$@"; do
  case $option in
    --out | --out=* | --fresh | --list | --help)
      fail "$option is not for a slice: the run lies in $DIR; to start over, name an empty folder" ;;
  esac
done
SLICE_SECONDS=${SLICE_SECONDS:-540}
[[ $SLICE_SECONDS =~ ^[1-9][0-9]*$ ]] || fail "SLICE_SECONDS '$SLICE_SECONDS': a whole number from 1"
DEVICE=${DEVICE:-cuda} RECIPE=${RECIPE:-maze-paper} PYTHON=${PYTHON:-python3}
PART_BYTES=${PART_BYTES:-16777216}
[[ $PART_BYTES =~ ^[1-9][0-9]*$ ]] || fail "PART_BYTES '$PART_BYTES': a whole number from 1"
ROOT=$(cd -- "${BASH_SOURCE[0]%/*}/.." && pwd)
export PYTHONPATH=$ROOT/src${PYTHONPATH:+:$PYTHONPATH}
interrupted="" storing="" temporary="" code=0
trap leave EXIT

mkdir -p -- "$DIR"
exec 9< "$DIR"
if has flock; then flock -n 9 || fail "$DIR: another slice is at work here; wait for it to end"; fi
if [[ -z ${WORK:-} ]]; then
  WORK=$(mktemp -d)
  temporary=$WORK
fi
mkdir -p -- "$WORK"
[[ ! -e $WORK/runs ]] || fail "WORK=$WORK holds runs already; delete $WORK/runs or name another WORK"
RUN=$WORK/runs/$(basename -- "$RECIPE" .yaml)

find_parts
if ((slice)); then
  say "unpacking slice $slice from $DIR into $WORK"
  restore
fi
say "running $RECIPE on $DEVICE for at most $SLICE_SECONDS s"
train "$@"
# 124, 137: the time was up. 129 and so on: a signal came. 1: the run failed; what it had saved is
# worth keeping. Anything else: it never began.
case $code in
  0 | 1 | 124 | 129 | 130 | 137 | 143) ;;
  *) exit "$code" ;;
esac
[[ -e $RUN/recipe.yaml ]] || fail "the run ended (status $code) before it began: nothing to store"
storing=yes
say "storing the run in $DIR"
store
storing=""
for path in "${parts[@]}"; do say "  ${path##*/}: $(wc -c < "$path") bytes"; done
case $code in
  0) outcome='finished' ;;
  1) outcome='failed; what it had saved is kept' ;;
  *) outcome='more to do: run this again' ;;
esac
say "slice $slice: ${#parts[@]} of at most $MOST_PARTS files," \
  "$(cat -- "${parts[@]}" | wc -c | numfmt --to=iec-i --suffix=B)$(steps); $outcome"
if ((code <= 1)); then exit "$code"; fi
if [[ -n $interrupted ]]; then exit 130; fi
