#!/usr/bin/env bash
# The first twenty minutes on a machine with a GPU: what is there, every target served and held to the reference, what
# others notice of hostile requests, stalls, latency and speed. Writes one report in Markdown, to paste into an issue.
#
#   docker run --rm --gpus all --shm-size 1g bertriton:gpu /usr/local/lib/bertriton/gpu-check.sh [OPTIONS]
#   docker/gpu-check.sh --help       beside a checkout, with a tritonserver on PATH
#
# It goes on where a part fails, says so in the report, and exits 1 then.
set -euo pipefail

folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
for python in /opt/bertriton/bin/python3 "$folder/../.venv/bin/python" python3; do
    if "$python" -c 'import bertriton_export, bertriton_server' 2>/dev/null; then
        exec "$python" "$folder/gpu_check.py" "$@"
    fi
done
echo "${BASH_SOURCE[0]##*/}: no Python here has bertriton with its exporter; in a checkout, run make test once" >&2
exit 1
