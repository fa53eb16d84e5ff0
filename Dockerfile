# syntax=docker/dockerfile:1
# strangler in a container: exactly the locked packages, nobody's root, nothing written but the state volume.
#
#   docker build -t strangler .
#   docker run --name strangler --read-only --cap-drop ALL -p 8080:8080 \
#     -v ./routes.yaml:/etc/strangler/routes.yaml:ro -v strangler-state:/var/lib/strangler strangler
#   docker exec strangler strangler status
#
# The admin address stays on the container's loopback, so it needs no tokens; operators go in by `docker exec`.
# Mount the directory of routes.yaml instead of the file when an editor on the host replaces it by renaming.

ARG PYTHON_VERSION=3.13

# ---- build: has a compiler and the development set, and is thrown away -----------------------------------------
FROM python:${PYTHON_VERSION}-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*

# the packages first: these layers change with the locks alone
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
RUN python -m venv /opt/build \
 && /opt/build/bin/python -m pip install --require-hashes --requirement requirements-dev.lock
RUN python -m venv /opt/strangler \
 && /opt/strangler/bin/python -m pip install --require-hashes --requirement requirements.lock

# the wheel, with the hot path compiled; built by locked packages too, hence no isolation
COPY pyproject.toml hatch_build.py README.md LICENSE routes.yaml ./
COPY tools/ tools/
COPY router/ router/
COPY rollout/ rollout/
COPY discovery/ discovery/
COPY control/ control/
COPY demo/ demo/
COPY dashboards/web/ dashboards/web/
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/strangler/bin/python -m pip install --no-deps --no-index /wheels/*.whl \
 && /opt/strangler/bin/python -m compileall -q /opt/strangler/lib

# ---- run ----------------------------------------------------------------------------------------------------------
FROM python:${PYTHON_VERSION}-slim-bookworm

LABEL org.opencontainers.image.title="strangler" \
      org.opencontainers.image.description="A strangler-fig migration router" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN groupadd --system --gid 10001 strangler \
 && useradd --system --uid 10001 --gid strangler --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin strangler \
 && install --directory --owner strangler --group strangler --mode 0750 /var/lib/strangler

COPY --from=build /opt/strangler /opt/strangler

# a read-only root: no bytecode beside the modules, temporary files beside the state; logs go out at once
ENV PATH=/opt/strangler/bin:$PATH \
    TMPDIR=/var/lib/strangler \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

USER 10001:10001
WORKDIR /var/lib/strangler
VOLUME /var/lib/strangler
EXPOSE 8080 8081

# slim images have no curl; the admin address answers on loopback inside the container
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8081/livez', timeout=2)"]

# exec form: the router itself is the process that gets SIGTERM, and it drains before it ends
STOPSIGNAL SIGTERM
ENTRYPOINT ["strangler"]
CMD ["run", "--config", "/etc/strangler/routes.yaml", "--listen", "0.0.0.0:8080", "--admin", "127.0.0.1:8081", "--state", "/var/lib/strangler"]
