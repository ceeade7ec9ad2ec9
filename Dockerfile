# syntax=docker/dockerfile:1
#
#   docker build -t unetseg .
#   docker run --rm --gpus all -v "$PWD":/work unetseg train experiment.toml
#   docker run --rm --gpus all -v "$PWD":/work --user "$(id -u):$(id -g)" unetseg …   # files are yours
#
# The torch wheel brings its own CUDA libraries, so the base is NVIDIA's smallest image: it only
# tells the container toolkit what to mount. CUDA 12.6 runs on GPUs up to Hopper. For Blackwell:
#   docker build --build-arg TORCH_CUDA=cu130 -t unetseg .      (needs driver 580 or later)

FROM nvidia/cuda:12.6.3-base-ubuntu24.04

ARG TORCH_VERSION=2.13.0
ARG TORCH_CUDA=cu126

LABEL org.opencontainers.image.title="unetseg" \
      org.opencontainers.image.description="U-Net segmentation for microscopy: train, predict by exact tiles, label, score" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.authors="the unetseg developers" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.base.name="docker.io/nvidia/cuda:12.6.3-base-ubuntu24.04"

# Python 3.12. g++ and python3-dev are for train.compile, which builds its kernels when it runs.
# Ubuntu keeps only the newest build of a package, so versions pinned here would stop building.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

# Ubuntu's own user has id 1000; ours takes its place, so that bind mounts are writable for most.
RUN userdel --remove ubuntu \
    && useradd --create-home --uid 1000 --shell /usr/sbin/nologin unetseg \
    && install --directory --owner=unetseg --group=unetseg /work

# HOME and USER hold for any --user: torch and matplotlib keep caches and ask for a user name.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HOME=/tmp \
    USER=unetseg

# torch is by far the largest layer and changes least.
RUN python3 -m venv /opt/venv \
    && pip install --no-cache-dir --index-url "https://download.pytorch.org/whl/${TORCH_CUDA}" \
       "torch==${TORCH_VERSION}+${TORCH_CUDA}"

WORKDIR /opt/unetseg
COPY pyproject.toml README.md LICENSE ./
COPY unetseg/ unetseg/
COPY data/ data/
COPY experiments/ experiments/
RUN pip install --no-cache-dir "torch==${TORCH_VERSION}+${TORCH_CUDA}" .

USER 1000
WORKDIR /work
VOLUME /work
ENTRYPOINT ["unetseg"]
CMD ["--help"]
