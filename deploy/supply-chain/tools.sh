# Sourced by the scripts beside it: programs from crates.io that a check needs, at a version that is named. They are
# built once, into the cache that all shops share, with the pinned toolchain.

tools="${XDG_CACHE_HOME:-$HOME/.cache}/murmuration/tools"

say() { printf '%s\n' "$*" >&2; }
die() { say "shop: $*"; exit 1; }

# tool NAME VERSION: puts it in PATH.
tool() {
    local folder="$tools/$1-$2"
    if [ ! -x "$folder/bin/$1" ]; then
        say "installing $1 $2 (minutes, once)"
        # Unoptimised it is ready sooner, and a check takes seconds either way.
        cargo install --quiet --locked --debug --root "$folder" --version "$2" "$1" ||
            die "$1 $2 could not be installed: is the registry of crates within reach?"
    fi
    PATH="$folder/bin:$PATH"
}
