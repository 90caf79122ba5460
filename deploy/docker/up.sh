#!/usr/bin/env bash
# `./shop up --docker`: docker compose, with its riddles solved beforehand. Everything runs in containers, so
# nothing but Docker is needed on this machine. `--secured` is the shop of docker-compose.secured.yml. Further arguments
# go to `docker compose up`.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# The limits of all parts add up to 3 GB; of a machine with so much, its kernel has some.
memory_needed_mb=2800
compose_needed=2.24

say() { printf '%s\n' "$*" >&2; }
die() { say "shop: $*"; exit 1; }

check_engine() {
    command -v docker >/dev/null || die "there is no docker. Install it (https://docs.docker.com/engine/install), or" \
        "run the shop without it: ./shop up"
    local why
    why="$(docker version --format '{{.Server.Version}}' 2>&1 >/dev/null)" ||
        die "docker is there, but its engine does not answer: ${why##*$'\n'}"$'\n'"Start it, or let this user use it" \
            "(group docker), or run the shop without it: ./shop up"
    local compose
    compose="$(docker compose version --short 2>/dev/null)" || die "docker has no compose plugin: install" \
        "docker-compose-plugin (Compose $compose_needed or later)"
    at_least "$compose_needed" "${compose#v}" || die "docker has Compose $compose, and the shop needs" \
        "$compose_needed or later: install a newer docker-compose-plugin"
    docker buildx version >/dev/null 2>&1 || die "docker has no buildx plugin, which builds the images:" \
        "install docker-buildx-plugin"
    local memory
    memory="$(docker info --format '{{.MemTotal}}' 2>/dev/null)" || true
    local memory_mb=$((${memory:-0} / 1024 / 1024))
    [ "$memory_mb" -ge "$memory_needed_mb" ] || die "the Docker engine has $memory_mb MB of memory and the shop" \
        "needs $memory_needed_mb MB: give it more (Docker Desktop: Settings, Resources)"
}

# Whether version $2 is $1 or later.
at_least() {
    local major minor
    IFS=. read -r major minor _ <<<"$2"
    [ "$major" -gt "${1%.*}" ] || { [ "$major" -eq "${1%.*}" ] && [ "$minor" -ge "${1#*.}" ]; }
}

# Lines of `name port`, for every port that shall be published, as compose understands file and variables.
wanted_ports() {
    docker compose config | awk '/^  [a-z]+:$/ { name = substr($1, 1, length($1) - 1) }
        $1 == "published:" { gsub(/"/, "", $2); print name, $2 }'
}

# Ports that this project publishes already are no obstacle to it.
check_ports() {
    local ports own taken="" name port
    ports="$(wanted_ports)"
    own="$(docker compose ps --format '{{.Ports}}')"
    while read -r name port; do
        if grep -q ":$port->" <<<"$own" || ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue; fi
        taken+="port $port, wanted by $name, is taken: move it with $(awk '{ print toupper($0) }' <<<"$name")_PORT=N"$'\n'
    done <<<"$ports"
    [ -z "$taken" ] || die "${taken}(a shop without Docker on these ports ends with ./shop down)"
}

# What did not come up, with the end of its log.
explain() {
    local name state
    say ""
    while read -r name state; do
        case "$state" in
        "Exited (0)"*) ;;
        Exited* | Restarting* | Dead* | *"(unhealthy)" | *"(health: starting)")
            say "== $name: $state"
            docker compose logs --no-log-prefix --tail 15 "$name" >&2
            ;;
        esac
    done < <(docker compose ps --all --format '{{.Service}} {{.Status}}')
    die "the shop did not come up: see above, and \`docker compose logs NAME\`"
}

# `--with NAME` is the profile of that name. Orders requires the check of that name, unless it is `observability`: then
# traces go to the profile's store.
with() {
    COMPOSE_PROFILES="${COMPOSE_PROFILES:+$COMPOSE_PROFILES,}$1"
    if [ "$1" = observability ]; then
        export OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="${OTEL_EXPORTER_OTLP_TRACES_ENDPOINT:-http://tempo:4318/v1/traces}"
    else
        EXTRA_CHECKS="${EXTRA_CHECKS:+$EXTRA_CHECKS,}$1"
    fi
}

# What a secured shop is given: passwords and keys, in files of this user. They are made once, and kept; the access control
# among them is that of the programs of now.
make_secrets() {
    export SHOP_UID SHOP_GID
    SHOP_UID="$(id -u)" SHOP_GID="$(id -g)"
    mkdir -p -m 700 "$secured_dir"
    docker compose build --quiet topics || die "the image of the program \`shop\` cannot be built: see above"
    docker compose run --rm --no-deps secrets || die "the secrets cannot be made in $secured_dir: see above"
}

EXTRA_CHECKS="${EXTRA_CHECKS-${COMPOSE_PROFILES:-}}"
auth="" secured="" secured_dir=.shop-secured
declare -a words=()
while [ $# -gt 0 ]; do
    case "$1" in
    --with)
        [ $# -ge 2 ] || die "--with wants the name of a service"
        with "$2"
        shift
        ;;
    --with=*) with "${1#--with=}" ;;
    --partitions)
        [ $# -ge 2 ] || die "--partitions wants a number from 3 to 48"
        export PARTITIONS="$2"
        shift
        ;;
    --partitions=*) export PARTITIONS="${1#--partitions=}" ;;
    --secured) secured=yes ;;
    # The services of the secured shop in containers ask for tokens always.
    --auth) auth=yes ;;
    *) words+=("$1") ;;
    esac
    shift
done
export COMPOSE_PROFILES="${COMPOSE_PROFILES:-}" EXTRA_CHECKS
set -- "${words[@]+"${words[@]}"}"
[ -z "$auth" ] || [ -n "$secured" ] || die "--docker has --auth with --secured alone"
[ -z "$secured" ] || export COMPOSE_FILE=docker-compose.yml:docker-compose.secured.yml

check_engine
check_ports
# Where there is no git, the images do not say which sources they are from.
MURMURATION_SOURCES="$(deploy/docker/sources.sh 2>/dev/null || true)"
export MURMURATION_SOURCES
[ -z "$secured" ] || make_secrets
docker compose up --detach --wait --build "$@" || explain
view="http://$(docker compose port view 8080)"
dashboards=""
if [[ ",$COMPOSE_PROFILES," == *,observability,* ]]; then
    dashboards="  http://$(docker compose port grafana 3000)                      dashboards and traces"$'\n'
fi
order="./shop order TEA=2 MUG=1 --customer ada    place an order and follow it"
down="docker compose down"
if [ -n "$secured" ]; then
    order="./shop token ada --dir $secured_dir            a token of a customer: the services want one"$'\n'"  \
SHOP_DIR=$secured_dir COMPOSE_PROJECT_NAME=murmuration-secured ./shop order TEA=2"
    down="COMPOSE_FILE=$COMPOSE_FILE $down"
fi
cat <<END

The shop is open. Try:
  $order
  $view                      the shop in a browser
  http://$(docker compose port mail 8025)                      the mails it sends
  docker compose ps | logs -f orders         look around
${dashboards}  $down                        end it; what it knows is kept (down --volumes forgets it)

END
