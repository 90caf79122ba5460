#!/usr/bin/env bash
# `./shop deny`: licenses, banned crates, sources and known vulnerabilities of all dependencies, against deny.toml.
# `--offline` leaves the vulnerabilities out, whose database is a git repository on another machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. deploy/supply-chain/tools.sh

offline=""
case "$*" in
"") ;;
--offline) offline=yes ;;
*) die "\`./shop deny\` takes --offline, or nothing" ;;
esac

tool cargo-deny 0.20.2
failed=""
cargo deny --locked --log-level warn check licenses bans sources || failed=yes
if [ -z "$offline" ]; then
    cargo deny --locked --log-level warn check advisories || {
        failed=yes
        say "shop: if the database of vulnerabilities cannot be reached, \`./shop deny --offline\` checks all else;" \
            "git reaches a mirror with \`git config --global url.MIRROR.insteadOf https://github.com/RustSec/advisory-db\`"
    }
fi
[ -z "$failed" ] || exit 1
