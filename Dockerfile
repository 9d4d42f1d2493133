# GPUs and CPUs:  docker build -t s5_mm .                          (run with --gpus all)
# CPUs alone:     docker build -t s5_mm --build-arg TORCH_INDEX=ADDRESS .
# Then:           docker run --rm s5_mm make quickstart;   docker run --rm s5_mm make test
FROM python:3.12-slim
# The default wheels of torch for Linux run on both and bring CUDA's libraries. ADDRESS is the index of wheels for CPUs,
# a tenth of their size, which torch's page "Get Started" names.
ARG TORCH_INDEX=
# libgl1 and libglib2.0-0 are what cv2 loads.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /s5_mm
COPY . .
RUN PIP_EXTRA_INDEX_URL=$TORCH_INDEX PIP_NO_CACHE_DIR=1 make setup
ENV PATH=/s5_mm/.venv/bin:$PATH
CMD ["make", "quickstart"]
