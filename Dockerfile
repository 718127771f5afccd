# csip for GPU machines: the locked libraries on a CUDA runtime. Nothing secret enters it: credentials come from the
# environment of the container (docs/cluster.md).
#   docker build --tag csip .
#   docker run --gpus all --shm-size 8g csip csip run configs/demo.yaml
FROM nvidia/cuda:13.0.1-runtime-ubuntu24.04 AS build
ENV DEBIAN_FRONTEND=noninteractive UV_PYTHON_INSTALL_DIR=/opt/python UV_LINK_MODE=copy
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /usr/local/bin/uv
RUN uv venv --managed-python --python 3.11 /opt/venv
WORKDIR /opt/csip
# the libraries before the code, which changes more often; as `make setup` does
COPY requirements.lock ./
RUN uv pip install --no-cache --python /opt/venv/bin/python --no-deps -r requirements.lock --no-binary xtcocotools
COPY pyproject.toml README.md prefect.yaml ./
COPY storage storage
COPY extraction extraction
COPY training training
COPY evaluation evaluation
COPY flows flows
COPY configs configs
RUN uv pip install --no-cache --python /opt/venv/bin/python --no-deps -e .

FROM nvidia/cuda:13.0.1-runtime-ubuntu24.04
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* \
    # the base has a user of this id already, and Kubernetes' template runs as it
    && userdel --remove ubuntu \
    && useradd --uid 1000 --create-home csip
COPY --from=build /opt/python /opt/python
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/csip /opt/csip
WORKDIR /opt/csip
RUN install --directory --owner=csip data store /home/csip/.cache
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE
USER csip
# a Kubernetes job gives its command as arguments; by hand it is `csip ...`
ENTRYPOINT ["tini", "--"]
CMD ["csip", "--help"]
