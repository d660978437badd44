#!/usr/bin/env bash
# Makes the picture in docs/chat.md, docs/chat.svg, of a real chat with SmolLM2-135M-Instruct: what is
# typed stands below, what is answered is the model's.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

find_cargo
cargo build --release --locked --bin swallow-gguf --example chat_picture
target=$(target_dir)
model=${SMOLLM2_GGUF:-$(fetch_smollm2)}
picture=$PWD/docs/chat.svg

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cp "$model" "$room/SmolLM2-135M-Instruct.Q4_1.gguf"
cat >"$room/買い物.txt" <<'LIST'
For the party on Saturday: 2 melons, green tea, rice crackers.
LIST

cd "$room"
HOME=$room XDG_STATE_HOME=$room/state XDG_DATA_HOME=$room/data LANG=C.UTF-8 \
    "$target/release/examples/chat_picture" "$picture" \
    'swallow-gguf run SmolLM2-135M-Instruct.Q4_1.gguf' \
    "$target/release/swallow-gguf" run SmolLM2-135M-Instruct.Q4_1.gguf --temp 0 --seed 1 \
    <<'LINES'
What is the capital of Japan?
"""
Write one short sentence about each of these:
- the moon
- the sea
"""
/clear
/read 買い物.txt
What do I have to buy? Answer in one short sentence.
/undo
/set temp 0.7
/stats
LINES
say "docs/chat.svg is made"
