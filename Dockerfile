# Pellucid as a service: slim, without torch, not as root, on a root file system that may be read-only.
#
#   docker build -t pellucid .
#   docker run --rm -it -v pellucid:/data pellucid keys create --scope admin
#   docker run -d --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 -v pellucid:/data -v ~/Pictures:/photos:ro pellucid
#
# docs/deploy.md says more; deploy/compose.yaml is the same with everything that can be taken away taken away.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
RUN python -m venv /opt/pellucid
# The packages first: they change less often than the code, so this layer is seldom made anew.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], *project['optional-dependencies']['service'], sep='\n')" > requirements.txt \
 && /opt/pellucid/bin/pip install --constraint constraints.txt --requirement requirements.txt
COPY . .
# Build tools are pinned too, as `make` does it.
RUN PIP_CONSTRAINT=constraints.txt /opt/pellucid/bin/pip install --no-deps . \
 && /opt/pellucid/bin/pip check \
 && /opt/pellucid/bin/pip uninstall --yes pip \
 && /opt/pellucid/bin/python -m compileall -q /opt/pellucid/lib

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="Pellucid" \
      org.opencontainers.image.description="Find photos through haze and words" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 pellucid \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin pellucid \
 && install --directory --owner 10001 --group 10001 --mode 0750 /data
COPY --from=build /opt/pellucid /opt/pellucid
# Inside a container, 0.0.0.0 is the container's own address; which of the host's it is, `-p` says. A key is needed in any case.
ENV PATH=/opt/pellucid/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOME=/data \
    PELLUCID_LIBRARY=/data/library \
    PELLUCID_MODELS=/data/models \
    PELLUCID_SERVE_HOST=0.0.0.0 \
    PELLUCID_SERVE_ROOTS='["/photos"]'
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4).close()"]
ENTRYPOINT ["pellucid"]
CMD ["serve"]
