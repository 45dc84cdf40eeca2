# Every command of the project. `make demo` and `make test` work on a fresh machine with Rust and Python 3.11 or later.

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# ONNX Runtime reads it before it reports to its maker; tagfleet sets it for itself, too.
export ORT_DISABLE_TELEMETRY := 1
DEMO_OUT ?= target/demo-tags

.PHONY: demo demo-aws image test storm load fuzz check advisories bench lint package wheel deploy destroy setup install

## Tags the shipped pictures and shows the result.
demo: setup
	cargo build --package tagfleet
	target/debug/tagfleet inspect demo/model demo/photos/autumn/sku-0000.jpg
	target/debug/tagfleet run demo/photos --model demo/model --out $(DEMO_OUT)
	target/debug/tagfleet show $(DEMO_OUT) --rows 12

## The whole AWS path on this machine, against an emulator: what ran, the mail, the rows, the costs, the report.
demo-aws:
	scripts/setup.sh emulator
	cargo build --workspace --bins
	target/debug/demo-aws

## The worker's images from Debian's packages, without a registry, and demo-aws with the CPU image (half an hour, as root).
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

## Whole runs while everything goes wrong that can, one for each seed: SEEDS on a virtual clock, FLEET_SEEDS on the emulator.
SEEDS ?= 0..500
FLEET_SEEDS ?= 0..20
storm: setup
	TAGFLEET_STORM_SEEDS=$(SEEDS) cargo nextest run --workspace --success-output final -E 'package(tagfleet-fleet) & test(/^storm::/)'
	TAGFLEET_FLEET_STORM_SEEDS=$(FLEET_SEEDS) cargo nextest run --workspace --success-output final -E 'package(tagfleet-tests) & test(/^storm::/)'

## A hundred thousand shards, a shard of ten thousand images, a million keys: time for each and memory, in memory alone.
load:
	cargo nextest run --workspace --run-ignored only --test-threads 1 --success-output final -E 'package(tagfleet-fleet) & test(/^load::/)'

## What a change must pass before it is committed.
check:
	scripts/setup.sh check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet
	cargo deny --workspace check bans licenses sources
	cargo deny --manifest-path fuzz/Cargo.toml check bans licenses sources
	scripts/lint.sh
	$(MAKE) test

## What is known against the versions that are used here; asks the network.
advisories:
	scripts/setup.sh check
	cargo deny --workspace check advisories
	cargo deny --manifest-path fuzz/Cargo.toml check advisories

## The readers of foreign bytes, each fuzzed for SECONDS (1200), two at a time, with a nightly compiler.
fuzz:
	scripts/setup.sh fuzz
	scripts/fuzz.sh $(or $(SECONDS),1200)

## What tagfleet costs on this machine, into BENCHMARKS.md. PHOTOS=dir measures with your photos, PEERS=dir beside the
## peers of that folder, BENCH="--only runs" a part (target/release/bench --help has all options).
bench:
	scripts/setup.sh bench
	cargo build --release --package tagfleet --package tagfleet-bench
	target/release/bench $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(PEERS),--peers "$(PEERS)") $(BENCH)

## The templates, the state machine, the workflows, the Dockerfile and the scripts, linted.
lint:
	scripts/setup.sh check
	scripts/lint.sh

## The Lambda functions' zips, for arm64, in target/package.
package:
	scripts/package.sh

## The wheel for PyPI, in target/wheels: for x86-64 or arm64, as this machine is, with glibc 2.28 or later.
wheel:
	scripts/setup.sh wheel
	maturin build --release --zig --compatibility manylinux_2_28 --out target/wheels

## The functions, the images and the stack, in the account and region of the AWS CLI; scripts/deploy.sh lists its variables.
deploy:
	scripts/deploy.sh

## The stack's end; the bucket of the results stays.
destroy:
	scripts/destroy.sh

## The optimised `tagfleet`, into cargo's bin folder, and ONNX Runtime for it into lib/tagfleet beside that.
install: root = $${CARGO_INSTALL_ROOT:-$${CARGO_HOME:-$$HOME/.cargo}}
install: setup
	cargo install --path cli --locked --root "$(root)"
	mkdir -p "$(root)/lib/tagfleet"
	rm -f "$(root)/lib/tagfleet/"libonnxruntime.*
	cp .venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.* "$(root)/lib/tagfleet/"

setup:
	scripts/setup.sh
