# docker build -t passync:0.1.0 .
# docker run --rm --read-only --tmpfs /tmp -v "$PWD/jobs:/etc/passync:ro" -v passync-data:/data passync:0.1.0 \
#   run /etc/passync/nightly.toml --state /data/state --out /data/out

# A version, and not the newest: the same sources and the same lock file give the same program.
FROM rust:1.95-slim-trixie AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY .cargo ./.cargo
COPY src ./src
RUN cargo build --profile dist --locked --bin passync

FROM debian:trixie-slim
# The roots that certificates of gateways are verified with; time zones are in the program.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin passync \
 && install -d -o passync -g passync -m 0700 /data
COPY --from=build /build/target/dist/passync /usr/local/bin/passync
USER 10001:10001
WORKDIR /data
VOLUME /data
# SIGTERM, the default, stops a run cleanly; a second one at once.
STOPSIGNAL SIGTERM
# A job is not a server, and its verdict is its exit code. While it lives, health is that it moves: a run writes its
# ledger, its files or its metrics all the time. Still for 20 minutes is waiting (wait_for, --wait), or stuck.
HEALTHCHECK --interval=1m --timeout=10s --start-period=20m \
    CMD find /data -mmin -20 -print -quit | grep -q .
LABEL org.opencontainers.image.title="passync" \
      org.opencontainers.image.description="Keeps loyalty points and levels on Alipay membership cards true" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["passync"]
CMD ["--help"]
