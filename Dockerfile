# The project with Ray, MLflow and PyTorch for NVIDIA GPUs, for clusters/aws.yaml and the KubeRay manifests:
#
#   docker build --tag REGISTRY/simclr-orch:0.1.0 .
#   docker push REGISTRY/simclr-orch:0.1.0
#   docker run --rm --gpus all REGISTRY/simclr-orch:0.1.0 simclr-orch doctor
#
# The tag is the project's version; rayVersion in the manifests is RAY's. A slim Python suffices: torch's wheels on the
# package index bring CUDA, cuDNN and NCCL along, and the host its driver. Nothing is compiled.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim-bookworm

# What Ray's launcher and KubeRay use inside a container: ssh and rsync from the head to its workers, wget for the probes.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openssh-client rsync wget \
    && rm -rf /var/lib/apt/lists/*

# Into the system's Python, not an environment: both start Ray from login shells, which reset PATH. The dependencies come
# before the code, so that an edit does not fetch gigabytes again.
ARG RAY=2.60.0
WORKDIR /opt/simclr-orch
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > needed.txt \
    && pip install --no-cache-dir --requirement needed.txt "ray[default,train,tune]==${RAY}"
COPY README.md LICENSE ./
COPY search_spaces ./search_spaces
COPY workloads ./workloads
COPY orchestrator ./orchestrator
RUN pip install --no-cache-dir --no-deps . \
    && python -c "import torch; assert torch.version.cuda, 'a wheel without CUDA'"

# User 1000, as the first user of most hosts, whose files Ray's launcher mounts. HOME is read from the image's environment.
RUN useradd --create-home --uid 1000 --shell /bin/bash ray
ENV HOME=/home/ray MLFLOW_DISABLE_TELEMETRY=true RAY_USAGE_STATS_ENABLED=0
WORKDIR /home/ray
USER 1000
RUN mkdir .ray && simclr-orch --help
CMD ["simclr-orch", "--help"]
