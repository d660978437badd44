#!/usr/bin/env bash
# GPU layers proven for real on a machine without a GPU: builds with Vulkan against Mesa's
# software device (llvmpipe), and holds the greedy text of a real Mixture of Experts with 0, half
# and all of its layers on that device, with as many as fit, and with its experts left in the machine's
# memory against each other. Builds llama.cpp anew in target/vulkan; not in CI.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

# Of few tokens: for a batch of more, llvmpipe compiles a matrix kernel for some minutes.
prompt='The capital of Japan is'

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
# CMake finds both, as Vulkan_INCLUDE_DIR and Vulkan_LIBRARY, in the folder VULKAN_SDK names.
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

# Debian 12's Mesa 22.3 often crashes in its queue thread at the first token after a prompt.
# Where Mesa is so old, the driver of Debian 12's backports is unpacked beside the build.
unpack_driver() {
    local icds=(/usr/share/vulkan/icd.d/lvp_icd*.json) version
    icd=${icds[0]}
    version=$(dpkg-query --show --showformat '${Version}' mesa-vulkan-drivers)
    if dpkg --compare-versions "$version" lt 24; then
        local deb=mesa-vulkan-drivers_25.0.7-2~bpo12+1_amd64.deb
        local sum=3899f1800424c60a05df5d6913076a526ca8fdbabec43672cd397563d1ca3263
        icd=$sdk/lvp_icd.json
        if [ ! -e "$icd" ]; then
            curl --fail --silent --show-error --location --output "$work/$deb" \
                "https://deb.debian.org/debian/pool/main/m/mesa/$deb"
            printf '%s  %s\n' "$sum" "$work/$deb" | sha256sum --check --quiet
            dpkg-deb --extract "$work/$deb" "$work/unpacked"
            mv "$work/unpacked"/usr/lib/*/libvulkan_lvp.so "$sdk/lib/"
            sed "s|\"libvulkan_lvp.so\"|\"$sdk/lib/libvulkan_lvp.so\"|" \
                "$work/unpacked/usr/share/vulkan/icd.d/lvp_icd.json" >"$icd"
            rm -rf "$work/unpacked" "${work:?}/$deb"
        fi
    fi
    printf 'driver: %s\n' "$icd"
}
step 'find or unpack the software device' unpack_driver

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
export VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd GGML_VK_VISIBLE_DEVICES=0

ask() { # NAME OPTIONS
    answer=$work/answer-$1.txt
    log=$work/log-$1.txt
    "$swallow_gguf" run -m "$work/moe-F16.gguf" --raw -p "$prompt" --temp 0 -n 16 --stats -v \
        "${@:2}" >"$answer" 2>"$log" || die "the run failed, see $log"
    [ -s "$answer" ] || die "the answer is empty, see $log"
    grep '^GPU: .*llvmpipe' "$log" || die "the device is not llvmpipe, see $log"
    grep '^memory: ' "$log"
    grep '^layers on a GPU: ' "$log"
    cat "$answer"
}

# MiB of weights that llama.cpp's log gives to a buffer, whole ones; 0 where it has none.
weights() { # BUFFER
    sed -n "s/^load_tensors: *$1 model buffer size = *\([0-9]*\)\..*/\1/p" "$log" |
        awk '{ sum += $1 } END { print sum + 0 }'
}

# The text must be that of the CPU, and the log says what lies on the device.
same_text() {
    cmp "$work/answer-0.txt" "$answer" || die "the text is another, see $answer and $log"
}
ask_cpu() {
    ask 0 -ngl 0
    ! grep 'Vulkan0 .*buffer size' "$log" || die "the device is used for no layers, see $log"
}
ask_device() { # LAYERS
    ask "$1" -ngl "$1"
    grep "offloaded $1/" "$log" || die "$1 layers were not offloaded, see $log"
    grep 'Vulkan0 model buffer size' "$log" || die "no weights on the device, see $log"
    same_text
}
ask_auto() {
    ask auto
    grep "^layers on a GPU: $layers of $layers" "$log" ||
        die "llama.cpp's choice leaves layers of a small model behind, see $log"
    [ "$(weights Vulkan0)" -gt 0 ] || die "no weights on the device, see $log"
    same_text
}
# All layers are on the device, and the experts, most of the model, are not.
ask_cpu_moe() {
    ask "$layers" -ngl "$layers"
    local whole left host
    whole=$(weights Vulkan0)
    ask cpu-moe -ngl "$layers" --cpu-moe
    left=$(weights Vulkan0)
    host=$(($(weights 'CPU[_A-Za-z]*') + $(weights Vulkan_Host)))
    printf 'weights on the device: %d MiB, without experts %d MiB, and %d MiB in memory\n' \
        "$whole" "$left" "$host"
    [ "$left" -gt 0 ] && [ "$left" -lt "$whole" ] || die "the experts are on the device, see $log"
    [ "$host" -gt 0 ] || die "the experts are nowhere, see $log"
    same_text
    local some
    ask cpu-moe-1 -ngl "$layers" --cpu-moe=1
    some=$(weights Vulkan0)
    [ "$left" -lt "$some" ] && [ "$some" -lt "$whole" ] ||
        die "the experts of one layer alone should be in memory, see $log"
    same_text
}
step 'list the devices' "$swallow_gguf" devices
step 'ask the CPU' ask_cpu
layers=$(sed -n 's/^layers on a GPU: 0 of //p' "$log")
step 'ask with half of the layers on the device' ask_device $((layers / 2))
step 'ask with all layers on the device' ask_device "$layers"
step 'ask with as many layers as fit' ask_auto
step 'ask with the experts in memory' ask_cpu_moe
printf '\nthe same text with 0, %d and %d of %d layers on the device, as many as fit, and experts apart\n' \
    $((layers / 2)) "$layers" "$layers"

step_table
