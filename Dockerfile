# The server of captions with the model in the box: docker build -t captions . (docs/deploy.md)
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends nasm python3 python3-pip && rm -rf /var/lib/apt/lists/*
WORKDIR /captions
COPY . .
RUN scripts/get-onnxruntime.sh && cargo build --release --locked -p caption -p serve --bins

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libstdc++6 && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home captions
COPY --from=build /captions/target/release/caption /captions/target/release/serve /usr/local/bin/
COPY --from=build /captions/.onnxruntime/lib/ /usr/local/lib/onnxruntime/
COPY --from=build /captions/models/starter.safetensors /models/starter.safetensors
ENV ORT_DYLIB_PATH=/usr/local/lib/onnxruntime/libonnxruntime.so
USER captions
WORKDIR /
EXPOSE 8500 8501 11434
HEALTHCHECK --start-period=30s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8501 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && head -1 <&3 | grep -q 200"]
ENTRYPOINT ["serve"]
CMD ["--host", "0.0.0.0", "--ollama"]
