#!/usr/bin/env bash
# Makes the engine that Triton serves, 1/model.plan, from 1/model.onnx beside it, on the machine that serves.
#
#   build_engine.sh [CACHE_FOLDER]     default: bertriton/engines in the user's cache folder
#
# An engine fits one version of TensorRT and one kind of GPU. The cache keeps one for each of those, each graph and
# each set of profiles, so that only the first start of its kind waits for trtexec. A timing cache shortens the rest.
set -euo pipefail
shopt -s inherit_errexit

readonly oldest_tensorrt=10
# Where NVIDIA's containers have trtexec.
PATH=$PATH:/usr/src/tensorrt/bin
model=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly model
readonly onnx=$model/1/model.onnx
readonly weights=$model/1/model.onnx.data
readonly plan=$model/1/model.plan
readonly profiles=$model/engine_profiles.txt

unfinished=()
trap 'rm --force -- "${unfinished[@]}"' EXIT

main() {
    local cache=${1:-${XDG_CACHE_HOME:-${HOME:?has no value: set it or name a cache folder}/.cache}/bertriton/engines}
    require_files
    local version gpu key
    version=$(tensorrt_version)
    gpu=$(first_gpu)
    key=$(cache_key "$version" "$gpu")
    mkdir --parents -- "$cache" || fail "$cache: cannot be made; name a cache folder that can be written to"
    local engine=$cache/$key.plan
    if [[ -e $engine ]]; then
        say "engine for $gpu and TensorRT $version is in the cache: $engine"
    else
        say "building an engine for $gpu and TensorRT $version, which takes minutes"
        build "$version" "$engine" "$cache/$(name_part "$version $gpu").timing"
    fi
    put_in_place "$engine"
}

say() {
    printf '%s: %s\n' "${BASH_SOURCE[0]##*/}" "$1" >&2
}

fail() {
    say "$1"
    exit 1
}

require_files() {
    local file
    for file in "$onnx" "$weights" "$profiles"; do
        [[ -r $file ]] || fail "$file: not there or not readable; export the model again"
    done
}

# TensorRT's version, which trtexec writes into its first line as one number: v101300 is 10.13.0.
tensorrt_version() {
    local help number
    command -v trtexec >/dev/null || fail "trtexec is neither on PATH nor in /usr/src/tensorrt/bin; it comes with TensorRT"
    help=$(trtexec --help 2>&1) || fail "trtexec --help fails: $help"
    [[ $help =~ TensorRT\ v([0-9]+) ]] || fail "trtexec --help does not tell TensorRT's version: ${help:0:200}"
    number=$((10#${BASH_REMATCH[1]}))
    ((number >= oldest_tensorrt * 10000)) || fail "TensorRT v$number is too old, the graph needs $oldest_tensorrt or newer"
    printf '%d.%d.%d\n' $((number / 10000)) $((number / 100 % 100)) $((number % 100))
}

# Name and compute capability of the GPU that trtexec builds for, "NVIDIA L4, 8.9".
first_gpu() {
    local gpus
    command -v nvidia-smi >/dev/null || fail "nvidia-smi is not on PATH; an engine is built on a machine with a GPU"
    gpus=$(nvidia-smi --query-gpu=name,compute_cap --format=csv,noheader) || fail "nvidia-smi finds no GPU: $gpus"
    [[ -n $gpus ]] || fail "nvidia-smi finds no GPU; an engine is built on a machine with one"
    printf '%s\n' "${gpus%%$'\n'*}"
}

cache_key() {
    { printf '%s\n' "$@" && cat -- "$profiles" "$onnx" "$weights"; } | sha256sum | cut --characters=-32
}

# A name for a file from any text.
name_part() {
    printf '%s\n' "${1//[^A-Za-z0-9.]/-}"
}

build() {
    local version=$1 engine=$2 timing=$3 unfinished_engine
    local -a arguments
    mapfile -t arguments <"$profiles"
    # Newer versions know no other way, and their trtexec may not know the flag.
    [[ ${version%%.*} != 10 ]] || arguments+=(--stronglyTyped)
    unfinished_engine=$(mktemp -- "$engine.XXXXXX")
    unfinished+=("$unfinished_engine")
    # What trtexec has to tell goes where everything else goes: the output of this script is nobody's input.
    trtexec "--onnx=$onnx" "--saveEngine=$unfinished_engine" "--timingCacheFile=$timing" --skipInference \
        "${arguments[@]}" >&2 || fail "trtexec made no engine; what it says is above"
    [[ -s $unfinished_engine ]] || fail "trtexec ended well and wrote no engine"
    chmod -- 644 "$unfinished_engine"
    mv -- "$unfinished_engine" "$engine"
}

# Whoever looks sees the old engine or the new one, never a part.
put_in_place() {
    if cmp --silent -- "$1" "$plan"; then
        return
    fi
    local copy
    copy=$(mktemp -- "$plan.XXXXXX") || fail "${plan%/*}: cannot be written to"
    unfinished+=("$copy")
    cp -- "$1" "$copy"
    chmod -- 644 "$copy"
    mv -- "$copy" "$plan"
}

main "$@"
