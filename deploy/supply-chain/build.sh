#!/usr/bin/env bash
# `cargo build --release` whose result does not depend on where it runs: two folders, two homes and two moments give the
# same bytes, with the same toolchain and C compiler. The images are built with it. Arguments go to cargo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

root="$(pwd -P)"
home="${CARGO_HOME:-$HOME/.cargo}"
target="${CARGO_TARGET_DIR:-$root/target}"
rust="$(rustc --print sysroot)"

# Paths are in messages of panics and in what debuggers read. The longest that fits comes last, and wins.
remap="--remap-path-prefix=$home=/cargo --remap-path-prefix=$rust=/rust"
remap+=" --remap-path-prefix=$root=/src --remap-path-prefix=$target=/target"
export RUSTFLAGS="${RUSTFLAGS:-} $remap"
# The same for what build scripts compile from C; and no dates, which `__DATE__` would take from the clock.
c="-ffile-prefix-map=$home=/cargo -ffile-prefix-map=$root=/src -ffile-prefix-map=$target=/target"
export CFLAGS="${CFLAGS:-} $c" CXXFLAGS="${CXXFLAGS:-} $c"
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-0}"
export SOURCE_DATE_EPOCH
# What was compiled in parts, at a time, is put together in an order; an incremental build has other parts.
export CARGO_INCREMENTAL=0

exec cargo build --release --locked "$@"
