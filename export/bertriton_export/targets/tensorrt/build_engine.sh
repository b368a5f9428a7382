#!/usr/bin/env bash
# Makes the engine that Triton serves from 1/model.onnx, on the machine that serves, and lays out what to serve.
#
#   build_engine.sh [ENGINE_FOLDER [REPOSITORY]]     default: bertriton/engines, and bertriton/repository beside it, in
#                                                    the user's cache folder
#
# Nothing is written to the folder that this script is in: it may be read-only, or another user's. REPOSITORY is what
# `tritonserver --model-repository` is to get: links to the models beside this one, and this one with its engine.
#
# An engine fits one version of TensorRT and one kind of GPU. ENGINE_FOLDER keeps one for each of those, each graph and
# each set of profiles, so that only the first start of its kind waits for trtexec. A timing cache shortens the rest.
# BERTRITON_ENGINE_TIMEOUT_S bounds that wait; 0, the default, does not.
set -euo pipefail
shopt -s inherit_errexit

readonly oldest_tensorrt=10
# Where NVIDIA's containers have trtexec.
PATH=$PATH:/usr/src/tensorrt/bin
model=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly model
readonly onnx=$model/1/model.onnx
weights=("$model"/1/*.onnx.data)
readonly weights
readonly timeout_s=${BERTRITON_ENGINE_TIMEOUT_S:-0}
readonly profiles=$model/engine_profiles.txt

unfinished=()
trap 'rm --force -- "${unfinished[@]}"' EXIT

main() {
    local cache=${1:-${XDG_CACHE_HOME:-${HOME:?has no value: set it or name an engine folder}/.cache}/bertriton/engines}
    cache=$(realpath --canonicalize-missing -- "$cache")
    local repository=${2:-${cache%/*}/repository}
    require_files
    local version gpu key
    version=$(tensorrt_version)
    gpu=$(first_gpu)
    key=$(cache_key "$version" "$gpu")
    mkdir --parents -- "$cache" "$repository" ||
        fail "$cache and $repository: cannot be made; name two folders that can be written to"
    local engine=$cache/$key.plan
    if [[ -e $engine ]]; then
        say "engine for $gpu and TensorRT $version is in the cache: $engine"
    else
        say "building an engine for $gpu and TensorRT $version with $(grep --count -- --profile= "$profiles") profiles, which takes minutes"
        build "$version" "$engine" "$cache/$(name_part "$version $gpu").timing"
        say "built in $SECONDS s: $engine"
    fi
    lay_out "$repository" "$engine"
    say "to serve it: tritonserver --model-repository=$repository"
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
    for file in "$onnx" "${weights[@]}" "$profiles"; do
        [[ -r $file ]] || fail "$file: not there or not readable; export the model again"
    done
}

# TensorRT's version, which trtexec writes into its first line as one number: v101300 is 10.13.0.
tensorrt_version() {
    local help number
    command -v trtexec >/dev/null || fail "trtexec is neither on PATH nor in /usr/src/tensorrt/bin; it comes with \
TensorRT, as in NVIDIA's image tensorrt of the same release. Without it, export with --target onnxruntime-tensorrt, whose \
engine ONNX Runtime makes by itself, or with --target cuda, which needs none"
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
    { printf '%s\n' "$@" && cat -- "$profiles" "$onnx" "${weights[@]}"; } | sha256sum | cut --characters=-32
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
    local status=0
    timeout "$timeout_s" trtexec "--onnx=$onnx" "--saveEngine=$unfinished_engine" "--timingCacheFile=$timing" \
        --skipInference "${arguments[@]}" >&2 || status=$?
    ((status != 124)) || fail "trtexec made no engine within $timeout_s s; raise BERTRITON_ENGINE_TIMEOUT_S, and what \
waits for this server with it"
    ((status == 0)) || fail "trtexec made no engine; what it says is above"
    [[ -s $unfinished_engine ]] || fail "trtexec ended well and wrote no engine"
    chmod -- 644 "$unfinished_engine"
    mv -- "$unfinished_engine" "$engine"
}

# Links alone: the models are as large as before, and an engine is in one place.
lay_out() {
    local served=$1 engine=$2 path own=$1/${model##*/}
    [[ ! -L $own ]] || rm --force -- "$own" # the script of another network has linked it whole
    mkdir --parents -- "$own/1" || fail "$own: cannot be made"
    for path in "$served"/*; do
        [[ -e $path ]] || rm --force -- "$path" # a link to what is no longer there
    done
    for path in "${model%/*}"/*/; do
        path=${path%/}
        # Another model with an engine has been laid out by its own script.
        [[ -d $served/${path##*/} && ! -L $served/${path##*/} ]] || link "$path" "$served/${path##*/}"
    done
    for path in "$model"/*; do
        [[ ${path##*/} == 1 ]] || link "$path" "$own/${path##*/}"
    done
    link "$engine" "$own/1/model.plan"
}

link() {
    ln --symbolic --force --no-dereference -- "$1" "$2" || fail "$2: cannot be made"
}

main "$@"
