# docker build -t introspect-bench . && docker run -v "$PWD/runs:/runs" introspect-bench run --model baseline/zero-shot --split mini
FROM python:3.11-slim
COPY . /src
RUN pip install --no-cache-dir -c /src/constraints.txt /src && rm -rf /src
RUN useradd --create-home user && install -d -o user /runs
USER user
WORKDIR /
ENV INTROSPECT_BENCH_CACHE=/home/user/cache
ENTRYPOINT ["introspect-bench"]
CMD ["--help"]
