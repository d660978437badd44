#!/usr/bin/env bash
# GPU layers proven for real on a machine without a GPU: builds with Vulkan against Mesa's
# software device (llvmpipe), and holds the greedy text of a real Mixture of Experts with 0, half
# and all of its layers on that device against each other. Builds llama.cpp anew in
# target/vulkan; not in CI.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

question='What is the capital of Japan? Answer in one sentence.'
n_layer=30

install_vulkan() {
    install_build_needs
    local missing=()
    command -v glslc >/dev/null || missing+=(glslc)
    [ -d /usr/include/spirv ] || missing+=(spirv-headers)
    compgen -G '/usr/share/vulkan/icd.d/lvp_icd*.json' >/dev/null || missing+=(mesa-vulkan-drivers)
    compgen -G '/usr/lib/*/libvulkan.so.1' >/dev/null || missing+=(libvulkan1)
    command -v curl >/dev/null || missing+=(curl ca-certificates)
    if [ ${#missing[@]} -gt 0 ]; then
        install_packages "${missing[@]}"
    fi
}
step 'install Vulkan and its software device' install_vulkan

target=$(target_dir)
work=$target/vulkan
sdk=$work/sdk
mkdir -p "$work"

# ggml needs Vulkan headers of 1.3.272 or newer, Debian 12 has 1.3.239: those of Debian 13 are
# unpacked beside the build, with the machine's own loader.
unpack_headers() {
    local deb=libvulkan-dev_1.4.309.0-1_amd64.deb
    local sum=8d329d465e16168afff58b1bd0dd6db46aac2cc3f56054a481b25a04e90b345a
    if [ ! -e "$sdk/lib/libvulkan.so" ]; then
        curl --fail --silent --show-error --location --output "$work/$deb" \
            "https://deb.debian.org/debian/pool/main/v/vulkan-loader/$deb"
        printf '%s  %s\n' "$sum" "$work/$deb" | sha256sum --check --quiet
        dpkg-deb --extract "$work/$deb" "$work/unpacked"
        mkdir -p "$sdk/lib"
        rm -rf "$sdk/include"
        mv "$work/unpacked/usr/include" "$sdk/include"
        rm -rf "$work/unpacked" "${work:?}/$deb"
        local loaders=(/usr/lib/*/libvulkan.so.1)
        ln -sf "${loaders[0]}" "$sdk/lib/libvulkan.so"
    fi
}
step 'unpack Vulkan headers' unpack_headers

build() {
    VULKAN_SDK=$sdk CARGO_TARGET_DIR=$work cargo build --release --locked --features vulkan \
        --bin swallow-gguf --example moe_from_gguf
}
step 'build with Vulkan (takes many minutes)' build
swallow_gguf=$work/release/swallow-gguf

make_model() {
    local dense checkpoint=$work/SmolLM2-2x135M-Instruct
    dense=$(fetch_smollm2)
    rm -rf "$checkpoint"
    "$work/release/examples/moe_from_gguf" "$dense" "$checkpoint"
    "$swallow_gguf" convert "$checkpoint" -t F16 -o "$work/moe-F16.gguf" --force --quiet
}
step 'make a real MoE of two experts' make_model

# Mesa's software device is a CPU, which ggml takes only when it is asked for by number.
icds=(/usr/share/vulkan/icd.d/lvp_icd*.json)
export VK_DRIVER_FILES=${icds[0]} VK_ICD_FILENAMES=${icds[0]} GGML_VK_VISIBLE_DEVICES=0

answer() { # LAYERS
    "$swallow_gguf" run -m "$work/moe-F16.gguf" -p "$question" --temp 0 -n 32 -v -ngl "$1" \
        >"$work/answer-$1.txt" 2>"$work/log-$1.txt"
    grep -m 1 -i 'llvmpipe' "$work/log-$1.txt" || die "no Vulkan device in $work/log-$1.txt"
    grep -m 1 'offloaded' "$work/log-$1.txt" || true
    cat "$work/answer-$1.txt"
}
for layers in 0 $((n_layer / 2)) $((n_layer + 1)); do
    step "ask with $layers layers on the device" answer "$layers"
    cmp "$work/answer-0.txt" "$work/answer-$layers.txt" ||
        die "with $layers layers on the device the text is another"
done

step_table
