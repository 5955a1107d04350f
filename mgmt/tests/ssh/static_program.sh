#!/bin/sh
# Builds `mgmt` for machines with another C library, without what is for debuggers: that is faster, and it is sent to hosts.
#
#   mgmt/tests/ssh/static_program.sh TARGET_DIRECTORY
set -eu
out=$(realpath -m "$1")
cd "$(dirname "$0")/../../.."
CARGO_PROFILE_DEV_DEBUG=false exec "${CARGO:-cargo}" build --locked --manifest-path mgmt/Cargo.toml --features ssh,etcd --bin mgmt \
  --target x86_64-unknown-linux-musl --target-dir "$out"
