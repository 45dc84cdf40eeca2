# Every command of the project; `make` lists them. `make demo` and `make test` work on a fresh machine with Rust and Python 3.11 or later.

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Turns off ONNX Runtime's telemetry for every tool; tagfleet sets it for itself.
export ORT_DISABLE_TELEMETRY := 1
DEMO_OUT ?= target/demo-tags

.PHONY: help demo demo-aws image test storm load fuzz check advisories bench lint book reference package wheel deploy destroy setup install
.DEFAULT_GOAL := help

## Lists every target; `make` alone does the same.
help:
	@awk '/^## / { text = text (text == "" ? "" : "\n" sprintf("%-11s", "")) substr($$0, 4); next } \
	  /^[a-z-]+:/ && text != "" { split($$0, name, ":"); printf "%-10s %s\n", name[1], text } \
	  !/^[A-Z_]+ \?=/ { text = "" }' $(firstword $(MAKEFILE_LIST))

## Tags the shipped pictures and shows the result.
demo: setup
	cargo build --package tagfleet
	target/debug/tagfleet inspect demo/model demo/photos/autumn/sku-0000.jpg
	target/debug/tagfleet run demo/photos --model demo/model --out $(DEMO_OUT)
	target/debug/tagfleet show $(DEMO_OUT) --rows 12

## The whole AWS path on this machine, against an emulator, without an account: run, mail, rows, costs, report.
demo-aws:
	scripts/setup.sh emulator
	cargo build --workspace --bins
	target/debug/demo-aws

## Builds the worker's images from Debian's packages, without a registry, and runs demo-aws with one (half an hour, as root).
image:
	scripts/image.sh bases
	scripts/image.sh build cpu
	scripts/image.sh build gpu
	scripts/image.sh demo

## Everything that CI runs.
test:
	scripts/setup.sh test
	cargo build --workspace --all-targets
	cargo nextest run --workspace
	cargo test --workspace --doc --quiet

## Chaos tests, a whole run for each seed: SEEDS (0..500) on a virtual clock, FLEET_SEEDS (0..20) on the emulator.
SEEDS ?= 0..500
FLEET_SEEDS ?= 0..20
storm: setup
	TAGFLEET_STORM_SEEDS=$(SEEDS) cargo nextest run --workspace --success-output final -E 'package(tagfleet-fleet) & test(/^storm::/)'
	TAGFLEET_FLEET_STORM_SEEDS=$(FLEET_SEEDS) cargo nextest run --workspace --success-output final -E 'package(tagfleet-tests) & test(/^storm::/)'

## Time and memory of 100,000 shards, a shard of 10,000 images, and 1,000,000 keys, in memory; and of a diff of ROWS rows.
ROWS ?= 1000000
load:
	cargo build --workspace --bins
	TAGFLEET_LOAD_ROWS=$(ROWS) cargo nextest run --workspace --run-ignored only --test-threads 1 --success-output final -E '(package(tagfleet-fleet) | package(tagfleet-tests)) & test(/^load::/)'

## Everything that a change must pass: format, lints, docs, licences, and `make test`.
check:
	scripts/setup.sh check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet
	cargo deny --workspace check bans licenses sources
	cargo deny --manifest-path fuzz/Cargo.toml check bans licenses sources
	scripts/lint.sh
	$(MAKE) test

## Known vulnerabilities of the dependencies; asks the network.
advisories:
	scripts/setup.sh check
	cargo deny --workspace check advisories
	cargo deny --manifest-path fuzz/Cargo.toml check advisories

## Fuzzes every reader of foreign bytes for SECONDS (1200) each, two at a time, with a nightly compiler.
fuzz:
	scripts/setup.sh fuzz
	scripts/fuzz.sh $(or $(SECONDS),1200)

## Measures speed on this machine, into BENCHMARKS.md. PHOTOS=dir uses your photos, PEERS=dir adds the peers of that
## folder, BENCH="--only runs" measures a part (target/release/bench --help has all options).
bench:
	scripts/setup.sh bench
	cargo build --release --package tagfleet --package tagfleet-bench
	target/release/bench $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(PEERS),--peers "$(PEERS)") $(BENCH)

## Lints the templates, the state machine, the workflows, the Dockerfile and the scripts.
lint:
	scripts/setup.sh check
	scripts/lint.sh

## The guide as HTML, in target/book/html. Needs mdbook.
book:
	scripts/book.sh

## docs/reference/cli.md, from the help of the debug binary; run it after a change of the command line.
reference:
	cargo build --workspace --bins
	scripts/cli_reference.py target/debug/tagfleet >docs/reference/cli.md

## Builds the Lambda functions' zips for arm64, in target/package.
package:
	scripts/package.sh

## Builds the wheel for PyPI into target/wheels: for x86-64 or arm64, as this machine is, with glibc 2.28 or later.
wheel:
	scripts/setup.sh wheel
	maturin build --release --zig --compatibility manylinux_2_28 --out target/wheels

## Builds and deploys functions, images and stack with the AWS CLI's account and region; scripts/deploy.sh lists its variables.
deploy:
	scripts/deploy.sh

## Removes the stack; the bucket with the results stays.
destroy:
	scripts/destroy.sh

## Installs the optimised `tagfleet` into cargo's bin folder, and ONNX Runtime into lib/tagfleet next to it.
install: root = $${CARGO_INSTALL_ROOT:-$${CARGO_HOME:-$$HOME/.cargo}}
install: setup
	cargo install --path cli --locked --root "$(root)"
	mkdir -p "$(root)/lib/tagfleet"
	rm -f "$(root)/lib/tagfleet/"libonnxruntime.*
	cp .venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.* "$(root)/lib/tagfleet/"

## Installs what building and running needs; every target that needs more calls scripts/setup.sh itself.
setup:
	scripts/setup.sh
