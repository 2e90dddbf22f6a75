# For those who build their own image; `make image` makes one without a base and without a daemon.
FROM rust:1.95.0-bookworm AS build
WORKDIR /llmplane
COPY . .
RUN SQLX_OFFLINE=true cargo build --release --locked --bin llmplane

# libc, libgcc and the certificates of Debian's package, none of the machine that builds; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /llmplane/target/release/llmplane /usr/bin/llmplane
USER 65532:65532
EXPOSE 8080 8081
HEALTHCHECK CMD ["/usr/bin/llmplane", "healthcheck"]
ENTRYPOINT ["/usr/bin/llmplane"]
