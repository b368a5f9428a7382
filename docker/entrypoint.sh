#!/usr/bin/env bash
# Entry point of both images: exports the checkpoint unless that was done before, then becomes the server.
#
#   docker run IMAGE [TRITONSERVER_FLAGS...]       serve; flags go to tritonserver
#   docker run IMAGE COMMAND [ARGUMENTS...]        a program of the image, or else a command of bertriton
#
# docker/README.md lists the environment variables.
set -euo pipefail
shopt -s inherit_errexit

# The images set both.
: "${BERTRITON_CHECKPOINT:?} ${BERTRITON_STORE:?}"

# The options of `bertriton export`: another value of any is another export.
readonly export_settings=(
    BERTRITON_NAME
    BERTRITON_BASE
    BERTRITON_LABELS
    BERTRITON_PROBLEM_TYPE
    BERTRITON_THRESHOLD
    BERTRITON_EXPORT_TRUNCATION
    BERTRITON_EXPORT_STRIDE
    BERTRITON_EXPORT_AGGREGATION
    BERTRITON_TOKENIZATION
    BERTRITON_TARGET
    BERTRITON_PRECISION
    BERTRITON_KEEP_FP32
    BERTRITON_VALIDATION_TEXT
    BERTRITON_VALIDATION_COLUMN
    BERTRITON_GATE
)
# Only `bertriton serve` turns these into flags of tritonserver.
readonly security_settings=(
    BERTRITON_TLS_CERT
    BERTRITON_TLS_KEY
    BERTRITON_TLS_CLIENT_CA
    BERTRITON_API_KEY
    BERTRITON_MODEL_CONTROL
)

# A server on a container's loopback could be reached by nobody: it listens on the container's own network, and what
# the world sees of that is what `docker run --publish` says.
readonly host=${BERTRITON_HOST:-0.0.0.0}
readonly http_port=${BERTRITON_HTTP_PORT:-8000}
readonly grpc_port=${BERTRITON_GRPC_PORT:-8001}
# Prometheus is another container. No key guards the metrics, so who reaches the port is for the network to say.
readonly metrics_host=${BERTRITON_METRICS_HOST:-$host}
readonly metrics_port=${BERTRITON_METRICS_PORT:-8002}
readonly stop_grace_s=30
# Less than an engine gives the image before its health counts.
export BERTRITON_ENGINE_TIMEOUT_S=${BERTRITON_ENGINE_TIMEOUT_S:-840}

# Without these Triton counts only sums of latencies, and no dashboard can show a percentile.
readonly metrics_flags=(
    --metrics-config=summary_latencies=true
    '--metrics-config=summary_quantiles=0.5:0.05,0.9:0.01,0.99:0.001'
)

readonly cpu_limit=/sys/fs/cgroup/cpu.max # "quota period" in microseconds, or "max period"

main() {
    if [[ $# -gt 0 && $1 != -* ]]; then
        become_command "$@"
    fi
    local repository=${BERTRITON_MODEL_REPOSITORY:-}
    if [[ -z $repository ]]; then
        repository=$BERTRITON_STORE/models/$(fingerprint)
        [[ -d $repository ]] || export_to "$repository"
    fi
    build_engines
    become_server "$repository" "$@"
}

become_command() {
    if type -P -- "$1" >/dev/null; then
        exec "$@"
    fi
    exec bertriton "$@"
}

# Names all that an export depends on: version, options, and every byte of the checkpoint. A hub id counts by its name.
fingerprint() {
    describe_export | sha256sum | cut --characters=-16
}

describe_export() {
    local setting
    bertriton --version
    for setting in "${export_settings[@]}"; do
        printf '%s=%s\n' "$setting" "${!setting-}"
    done
    describe_content "$BERTRITON_CHECKPOINT"
    describe_content "${BERTRITON_BASE:-}"
    describe_content "${BERTRITON_VALIDATION_TEXT:-}"
}

describe_content() {
    if [[ -d $1 ]]; then
        (cd -- "$1" && find -L . -type f -print0 | LC_ALL=C sort --zero-terminated | xargs --null sha256sum)
    elif [[ -f $1 ]]; then
        sha256sum <"$1"
    else
        printf '%s\n' "$1"
    fi
    # An export takes its name from the folder's.
    basename -- "$1"
}

export_to() {
    local staging
    mkdir -p "${1%/*}"
    staging=$(mktemp --directory "$BERTRITON_STORE/export-XXXXXXXX")
    # shellcheck disable=SC2064 # expanded now, while the name is known
    trap "rm -rf -- '$staging'" EXIT
    interruptible bertriton export "$BERTRITON_CHECKPOINT" --repository "$staging"
    chmod 755 "$staging"
    # Another container on the same volume may have been faster; its export is the same.
    mv --no-clobber --no-target-directory "$staging" "$1" || [[ -d $1 ]]
    rm -rf -- "$staging"
}

# A repository for TensorRT brings a script that makes an engine, unless the store has it, and lays out what to serve
# in a folder of its own: the repository itself may be read-only.
build_engines() {
    local script served=''
    for script in "$repository"/*_bert/build_engine.sh; do
        [[ -e $script ]] || continue
        served=${served:-$(mktemp --directory)}
        interruptible bash "$script" "$BERTRITON_STORE/engines" "$served"
    done
    repository=${served:-$repository} # of main
}

# The first process of a container ignores what it does not handle, and bash handles nothing while it waits.
interruptible() {
    local child
    "$@" &
    child=$!
    trap 'kill -TERM "$child" && wait "$child"; exit 143' TERM INT
    wait "$child"
    trap - TERM INT
}

become_server() {
    local repository=$1
    shift
    if type -P tritonserver >/dev/null; then
        refuse_security_settings
        # The config of --target onnxruntime-tensorrt has its engines in the folder that the server is started in.
        repository=$(realpath -- "$repository")
        local -a threads traces
        mapfile -t threads < <(thread_flags)
        mapfile -t traces < <(trace_flags)
        cd -- "$BERTRITON_STORE"
        exec tritonserver --model-repository="$repository" \
            --http-address="$host" --grpc-address="$host" --metrics-address="$metrics_host" \
            --http-port="$http_port" --grpc-port="$grpc_port" --metrics-port="$metrics_port" \
            --disable-auto-complete-config --exit-on-error=true --exit-timeout-secs="$stop_grace_s" \
            "${metrics_flags[@]}" "${threads[@]}" "${traces[@]}" "$@"
    fi
    # Strict configs, exit on error and the grace when it is stopped are its defaults.
    exec bertriton serve --model-repository="$repository" --host="$host" \
        --http-port="$http_port" --grpc-port="$grpc_port" --metrics-port="$metrics_port" --metrics-host="$metrics_host" \
        --verbose -- "${metrics_flags[@]}" "$@"
}

# Triton's own ONNX Runtime backend takes as many threads as the machine has cores, whatever the container may use; they
# would be stopped again and again. All its models share as many threads as the limit allows.
thread_flags() {
    local quota period
    [[ -r $cpu_limit ]] || return 0
    read -r quota period <"$cpu_limit"
    [[ $quota != max ]] || return 0
    printf -- '--backend-config=onnxruntime,%s\n' enable-global-threadpool=1 \
        "intra_op_thread_count=$(((quota + period - 1) / period))"
}

# As bertriton_server/tracing.py has them for `bertriton serve`, which reads the same settings.
trace_flags() {
    [[ -n ${BERTRITON_TRACE_URL-} ]] || return 0
    printf -- '--trace-config=%s\n' mode=opentelemetry level=TIMESTAMPS "rate=${BERTRITON_TRACE_RATE:-100}" \
        "opentelemetry,url=$BERTRITON_TRACE_URL" opentelemetry,resource=service.name=tritonserver
}

refuse_security_settings() {
    local setting
    for setting in "${security_settings[@]}"; do
        if [[ -n ${!setting-} ]]; then
            echo "$setting: not read here; give tritonserver its own flags, as --grpc-use-ssl=1, or run serve" >&2
            exit 1
        fi
    done
}

main "$@"
