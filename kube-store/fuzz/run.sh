#!/bin/sh
# Runs a fuzz target with any compiler: ./run.sh TARGET [OPTION OF LIBFUZZER]...
# Begins with what is valid; what it finds is in the current folder.
set -eu
cd "$(dirname "$0")"
target=$1
shift
KUBE_STORE_SEEDS=$PWD/corpus cargo test --quiet --manifest-path ../Cargo.toml --test it -- can_be_written_for_fuzzers
# Coverage as cargo-fuzz asks for it; the address sanitizer, which needs a nightly compiler, finds little in code without `unsafe`.
export RUSTFLAGS="--cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
host=$(rustc -vV | sed -n 's/^host: //p')
exec cargo run --release --target "$host" --bin "$target" -- "corpus/$target" "$@"
