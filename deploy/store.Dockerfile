# syntax=docker/dockerfile:1
# An S3 gateway with Object Lock for compose.yaml, built from its published module. It keeps its objects on a volume and
# does not flush them: docs/operations.md says which stores were proved and how to prove another.
ARG BUILD=golang:1.26-bookworm
ARG BASE=debian:bookworm-slim

FROM ${BUILD} AS build
RUN ["go", "install", "github.com/versity/versitygw/cmd/versitygw@v1.8.0"]

FROM ${BASE}
COPY --from=build /go/bin/versitygw /usr/local/bin/versitygw
COPY deploy/store.sh /usr/local/bin/store
RUN ["useradd", "--system", "--uid", "10002", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", "store"]
USER 10002:10002
EXPOSE 7070
ENTRYPOINT ["/usr/local/bin/store"]
