#!/usr/bin/env bash
# `./shop fuzz [TARGET]... [--seconds N] [--keep]`: the targets of e2e-tests/fuzz under libFuzzer, one after the other.
# `./shop fuzz TARGET FILE` runs one input again. It needs the pinned toolchain and a C++ compiler, nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf '%s\n' "$*" >&2; }
die() { say "fuzz: $*"; exit 1; }

seconds=600 keep="" file="" targets=()
while [ $# -gt 0 ]; do
    case "$1" in
    --seconds)
        [[ "${2:-}" =~ ^[0-9]+$ ]] || die "--seconds takes a number of seconds for each target"
        seconds="$2"
        shift
        ;;
    --keep) keep=yes ;;
    -*) die "there is no $1; there are --seconds N and --keep" ;;
    */* | *.*) file="$1" ;;
    *) targets+=("$1") ;;
    esac
    shift
done

# The names in the list of targets.
known="$(sed -n 's/^        name: "\(.*\)",/\1/p' e2e-tests/fuzz/src/lib.rs | tr '\n' ' ')"
# shellcheck disable=SC2206
[ ${#targets[@]} -gt 0 ] || targets=($known)
for target in "${targets[@]}"; do
    [[ " $known" == *" $target "* ]] || die "there is no target $target; there are $known"
done

say "building the targets (minutes the first time)"
# The tests' own dependencies are used as they are; our crates are built once more, by another rustc as cargo sees it.
RUSTC_WORKSPACE_WRAPPER="$PWD/deploy/fuzz/instrument.sh" CARGO_INCREMENTAL=0 \
    cargo build --quiet --package fuzz --bin fuzz --features fuzz/libfuzzer
fuzz="target/debug/fuzz"

if [ -n "$file" ]; then
    [ ${#targets[@]} -eq 1 ] || die "name the target that $file is for"
    FUZZ_TARGET="${targets[0]}" exec "$fuzz" "$file"
fi

failed=()
for target in "${targets[@]}"; do
    export FUZZ_TARGET="$target"
    found="target/fuzz/found/$target" seeds="target/fuzz/seeds/$target" crashes="target/fuzz/crashes/$target"
    corpus="e2e-tests/fuzz/corpus/$target"
    rm -rf "$seeds"
    mkdir -p "$found" "$seeds" "$crashes"
    folders=("$found" "$seeds")
    [ ! -d "$corpus" ] || folders+=("$corpus")
    log="target/fuzz/$target.log"
    say "== $target: $seconds s"
    # An input may take ten seconds and two gigabytes: more is a fault as well.
    if FUZZ_SEEDS="$seeds" "$fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
        -print_final_stats=1 -artifact_prefix="$crashes/" "${folders[@]}" >"$log" 2>&1; then
        sed -n 's/^Done /   done: /p; s/^stat::\(number_of_executed_units\|average_exec_per_sec\|peak_rss_mb\): */   \1: /p' "$log" >&2
    else
        failed+=("$target")
        # What panicked, and the input.
        grep -E -A 2 "panicked at|ERROR: libFuzzer|Test unit written" "$log" | head -n 20 >&2 || true
        say "   the whole log: $log; once it is mended, keep the input in $corpus"
        continue
    fi
    if [ -n "$keep" ]; then
        mkdir -p "$corpus"
        # The least that reaches the code that all of it reaches, beside the seeds, which come from the code.
        least="target/fuzz/least/$target"
        rm -rf "$least" && mkdir -p "$least"
        "$fuzz" -merge=1 -use_counters=0 -max_len=2048 "$least" "$seeds" "$corpus" "$found" >>"$log" 2>&1
        # libFuzzer names a file by the SHA-1 of its content; the seeds and what was kept before may have other names.
        known="$(find "$seeds" "$corpus" -type f -exec sha1sum {} + | cut -d ' ' -f 1)"
        for kept in "$least"/*; do
            grep -q "^${kept##*/}\$" <<<"$known" || cp "$kept" "$corpus/"
        done
        say "   kept: $(find "$corpus" -type f | wc -l) files"
    fi
done
[ ${#failed[@]} -eq 0 ] || die "found something in: ${failed[*]}"
