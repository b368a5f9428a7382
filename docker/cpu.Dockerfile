# bertriton on CPUs: the exporter, and the Triton that pip installs, made here so that a container needs no network.
# The checkout is the context: docker build --file docker/cpu.Dockerfile --tag bertriton:cpu .
ARG PYTHON_VERSION=3.12.12

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY server server
# Only what is pinned in the server's own code goes in, so a change elsewhere leaves this layer as it is.
RUN PYTHONPATH=server BERTRITON_RUNTIME_DIR=/opt/triton \
        python3 -c "from bertriton_server import find_runtime; print(find_runtime().executable)" \
    && for python in /opt/triton/runtime-*/bin/python3; do \
        "$python" -m pip uninstall --yes setuptools pip || exit 1; \
    done
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY bench bench
COPY client client
COPY demo demo
COPY evaluate evaluate
COPY export export
COPY nlu nlu
COPY spark spark
COPY ui ui
RUN PIP_CONSTRAINT=constraints.txt python3 -m pip wheel --no-deps --wheel-dir /wheels . \
    && python3 -m venv --without-pip /opt/bertriton \
    && python3 -m pip --python /opt/bertriton/bin/python3 install \
        --constraint constraints.txt "$(echo /wheels/bertriton-*.whl)[export,serve]"

FROM python:${PYTHON_VERSION}-slim-bookworm
LABEL org.opencontainers.image.title="bertriton" \
      org.opencontainers.image.description="BERT text classifiers on Triton, for CPUs" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 bertriton \
    && useradd --uid 10001 --gid 10001 --no-log-init --create-home bertriton \
    && install --directory --owner=bertriton --group=bertriton /var/cache/bertriton \
    && ln -s /opt/bertriton/bin/bertriton /usr/local/bin/bertriton
COPY --from=build /opt/triton /opt/triton
COPY --from=build /opt/bertriton /opt/bertriton
COPY checkpoints/imdb-minilm /opt/checkpoints/imdb
COPY docker/entrypoint.sh /usr/local/bin/bertriton-entrypoint
COPY docker/healthcheck.py /usr/local/lib/bertriton/healthcheck.py
COPY server/bertriton_server/process/http_probe.py /usr/local/lib/bertriton/http_probe.py
ENV BERTRITON_CHECKPOINT=/opt/checkpoints/imdb \
    BERTRITON_STORE=/var/cache/bertriton \
    BERTRITON_RUNTIME_DIR=/opt/triton \
    HF_HOME=/var/cache/bertriton/huggingface \
    HF_HUB_DISABLE_TELEMETRY=1 \
    ORT_DISABLE_TELEMETRY=1
VOLUME /var/cache/bertriton
WORKDIR /home/bertriton
USER 10001:10001
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
# The first start exports; failures only count once that time is over.
HEALTHCHECK --interval=10s --timeout=10s --start-period=15m --retries=3 \
    CMD ["python3", "/usr/local/lib/bertriton/healthcheck.py"]
ENTRYPOINT ["/usr/local/bin/bertriton-entrypoint"]
