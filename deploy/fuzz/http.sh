#!/usr/bin/env bash
# Sends the HTTP services of a running shop what their OpenAPI documents allow and what they forbid, and compares the
# answers with the documents: `./shop up`, then `./shop fuzz http`, or `./shop fuzz http view --seed 1`.
# Needs schemathesis in PATH: `pipx install schemathesis`. It places orders and restocks, so use a shop for trials.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
shop="${SHOP_DIR:-$root/.shop}/shop.json"

die() { printf '%s\n' "fuzz: $*" >&2; exit 1; }

command -v schemathesis >/dev/null || die "there is no schemathesis; \`pipx install schemathesis\` installs it"
[ -f "$shop" ] || die "no shop runs at $shop: \`./shop up\` starts one, and SHOP_DIR names another one"

# The address of a service, as the shop has written it down.
url() {
    sed -n "/\"urls\"/,/}/s/^ *\"$1\": \"\(.*\)\",\{0,1\}$/\1/p" "$shop"
}

services=()
while [ $# -gt 0 ] && [[ "$1" != -* ]]; do services+=("$1"); shift; done
[ ${#services[@]} -gt 0 ] || services=(orders inventory payments email view)

# An order that has ended, for the questions about orders.
placed="$(curl -sS --fail -H 'Content-Type: application/json' -H 'Prefer: wait=20' \
    -d '{"customer_id":"ada","lines":[{"sku":"TEA","quantity":1}]}' "$(url orders)/orders")" ||
    die "no order can be placed; \`./shop status\` says what is away"
ORDER_ID="$(sed 's/.*"order_id":"\([^"]*\)".*/\1/' <<<"$placed")"
export ORDER_ID

failed=()
for service in "${services[@]}"; do
    url="$(url "$service")"
    [ -n "$url" ] || die "the shop has no $service; it has $(sed -n '/"urls"/,/}/s/^ *"\([a-z]*\)":.*/\1/p' "$shop" | tr '\n' ' ')"
    printf '== %s at %s\n' "$service" "$url"
    # Ids of all kinds first, most of which name nothing; then those of things that there are.
    for config in schemathesis known; do
        schemathesis --config-file "$root/deploy/fuzz/$config.toml" run "$@" "$url/openapi.json" ||
            failed+=("$service ($config.toml)")
    done
done
[ ${#failed[@]} -eq 0 ] || die "answers that are not as documented: $(IFS=,; printf '%s' "${failed[*]}")"
