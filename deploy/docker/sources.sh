#!/usr/bin/env bash
# Prints a fingerprint of what the images of our programs are built from, as it is now. `./shop` puts it on them as
# a label, and the tests of the whole shop use images unasked only while it is still the same.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

git ls-files -z --cached --others --exclude-standard -- \
    Cargo.toml Cargo.lock schemas shared services deploy ':!:*.md' ':!:*/tests/*' |
    sort -z |
    while IFS= read -r -d '' file; do
        # One that was deleted is still listed until that is committed.
        if [ -f "$file" ]; then printf '%s\0' "$file"; fi
    done |
    xargs -0 sha256sum | sha256sum | cut -c1-16
