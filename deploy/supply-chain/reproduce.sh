#!/usr/bin/env bash
# `./shop reproduce [PROGRAM]...`: builds programs twice, in two folders with two homes of cargo, and compares their
# bytes. Without a name, all that the images hold: two release builds of the whole, half an hour on two cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf '%s\n' "$*" >&2; }
die() { say "shop: $*"; exit 1; }

known=" $(deploy/supply-chain/programs.sh | tr '\n' ' ')"
# One word per program; bash 3, which macOS has, knows no mapfile.
# shellcheck disable=SC2206
programs=(${*:-$known})
packages=()
for program in "${programs[@]}"; do
    [[ "$known" == *" $program "* ]] || die "no image holds $program; they hold$known"
    packages+=(--package "$program")
done

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
home="${CARGO_HOME:-$HOME/.cargo}"

# build FOLDER: from a copy of the sources there, and with a home of cargo there.
build() {
    local folder="$1"
    mkdir -p "$folder/src" "$folder/home"
    git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
        if [ -f "$file" ]; then printf '%s\0' "$file"; fi
    done | tar --create --null --files-from=- | tar --extract --directory "$folder/src"
    # What was downloaded is taken along; where it lies differs.
    if [ -d "$home/registry" ]; then
        mkdir -p "$folder/home/registry"
        cp -r "$home/registry/index" "$home/registry/cache" "$folder/home/registry/"
    fi
    say "building ${programs[*]} in $folder"
    (cd "$folder/src" && CARGO_HOME="$folder/home" CARGO_TARGET_DIR="$folder/target" \
        deploy/supply-chain/build.sh --quiet "${packages[@]}")
}

build "$work/one"
# Another depth, another name, another length.
build "$work/another/place/altogether"

different=()
for program in "${programs[@]}"; do
    one="$work/one/target/release/$program"
    other="$work/another/place/altogether/target/release/$program"
    hash="$(sha256sum <"$one" | cut -d' ' -f1)"
    if cmp -s "$one" "$other"; then
        printf '%s  %s\n' "$hash" "$program"
    else
        different+=("$program")
        say "$program differs: $(cmp "$one" "$other" 2>&1 | sed 's/.*differ/first/')"
        for folder in one another; do
            strings -a "$(find "$work/$folder" -path "*/release/$program" -print -quit)" | grep -m 3 -F "$work" >&2 || true
        done
    fi
done
[ ${#different[@]} -eq 0 ] || die "not reproducible: ${different[*]}"
