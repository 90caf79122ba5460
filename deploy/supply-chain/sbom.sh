#!/usr/bin/env bash
# `./shop sbom [FOLDER]`: a bill of materials in CycloneDX (JSON) for each program of the images: every crate in it with
# version, license and checksum. They go to target/sbom, or FOLDER. The same sources give the same bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. deploy/supply-chain/tools.sh

[ $# -le 1 ] || die "\`./shop sbom\` takes a folder, or nothing"
out="${1:-target/sbom}"
mkdir -p "$out"
out="$(cd "$out" && pwd)"

tool cargo-cyclonedx 0.5.9
# It writes next to each manifest; a copy of the manifests and sources keeps the checkout as it is.
copy="$(mktemp -d)"
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    if [ -f "$file" ]; then printf '%s\0' "$file"; fi
done | tar --create --null --files-from=- | tar --extract --directory "$copy"

# When the sources were committed, instead of now.
SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)"
export SOURCE_DATE_EPOCH
(cd "$copy" && cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries --target x86_64-unknown-linux-gnu)

for program in $(deploy/supply-chain/programs.sh); do
    found="$(find "$copy" -name "${program}_bin.cdx.json" -print -quit)"
    [ -n "$found" ] || die "cargo-cyclonedx has described no program $program"
    # The folder of the copy is in the references of our own crates.
    sed "s|$copy|/src|g" "$found" >"$out/$program.cdx.json"
    say "$out/$program.cdx.json: $(grep -c '"type": "library"' "$out/$program.cdx.json") crates"
done
