# The image: `docker run IMAGE train` and `docker run IMAGE serve`, as SageMaker runs it.
#
#   docker build -t object2vec --build-arg TORCH_INDEX="$CPU_INDEX" .    # PyTorch's index for CPUs
#   docker build -t object2vec:cuda .                                     # what pip takes itself
#   docker build -t object2vec:sagemaker --build-arg RUN_AS=root .   # to train in SageMaker itself
#
# It trains and serves IP Insights, too; ENV OBJECT2VEC_ALGORITHM=ipinsights makes an image of it alone.
# docs/deployment.md says how to run it.

ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS build

# torch comes first and pinned: asked for as a dependency, pip would take the newest one, and the
# package index may answer with the CUDA build of several gigabytes.
ARG TORCH="torch==2.13.0"
ARG TORCH_INDEX=""

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/object2vec
ENV PATH="/opt/object2vec/bin:$PATH"
RUN pip install ${TORCH} ${TORCH_INDEX:+--index-url ${TORCH_INDEX}}
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install ".[sagemaker]"
# Kernels compile once: here, beside the package, where whoever runs the image reads them. On another
# kind of CPU than the one that built it they compile at the first command, as they would without.
RUN python -m object2vec.kernels.cpu.warm

FROM python:${PYTHON}-slim

# SageMaker's training service gives /opt/ml to root alone; everything else needs no root.
ARG RUN_AS=object2vec
RUN useradd --uid 1000 --create-home object2vec \
    && install --directory --owner object2vec /opt/ml /opt/ml/model /opt/ml/output
COPY --from=build /opt/object2vec /opt/object2vec
ENV PATH="/opt/object2vec/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    OBJECT2VEC_CACHE=/tmp/object2vec \
    NUMBA_CACHE_DIR=/tmp/object2vec-kernels
USER ${RUN_AS}
EXPOSE 8080
ENTRYPOINT ["object2vec", "sagemaker"]
CMD ["serve"]
