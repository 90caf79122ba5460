#!/usr/bin/env bash
# The programs that the images of docker-compose.yml hold, a line each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
sed -n 's/.*SERVICE: \([a-z-]*\).*/\1/p' docker-compose.yml | sort -u
