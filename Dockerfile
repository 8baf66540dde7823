# gradprobe on the CPU.
#   docker build -t gradprobe .
#   docker run gradprobe                                  runs the selftest
#   docker run -v $PWD:/src gradprobe trace script.py     traces a script of the current folder
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1

# torch alone and first, from PyTorch's index of CPU builds; its dependencies come with the package.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY requirements/constraints.txt /build/requirements/
RUN pip install --no-deps --extra-index-url "$TORCH_INDEX" \
    "$(grep '^torch==' /build/requirements/constraints.txt)"

COPY pyproject.toml README.md LICENSE /build/
COPY gradprobe /build/gradprobe
RUN pip install --constraint /build/requirements/constraints.txt /build && rm -rf /build

RUN useradd --create-home --uid 1000 probe && mkdir /src && chown probe /src
USER probe
WORKDIR /src
ENTRYPOINT ["gradprobe"]
CMD ["selftest"]
