# CPU:   docker build -t s5_mm .
# CUDA:  docker build -t s5_mm --build-arg DEVICE=cuda .    (run with --gpus all)
# Then:  docker run --rm s5_mm make quickstart;   docker run --rm s5_mm make test
FROM python:3.12-slim
ARG DEVICE=cpu
# libgl1 and libglib2.0-0 are what cv2 loads.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /s5_mm
COPY . .
# The default wheels of torch for Linux are for CUDA; those for CPUs alone are a tenth of their size.
RUN if [ "$DEVICE" = cpu ]; then export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu; fi; \
    PIP_NO_CACHE_DIR=1 make setup
ENV PATH=/s5_mm/.venv/bin:$PATH
CMD ["make", "quickstart"]
