# Every command of the project. `make demo` and `make test` work on a fresh machine with Rust and Python 3.11 or later.

export PATH := $(CURDIR)/.venv/bin:$(PATH)
DEMO_OUT ?= target/demo-tags

.PHONY: demo test check setup install

## Tags the shipped pictures and shows the result.
demo: setup
	cargo build --package tagfleet
	target/debug/tagfleet inspect demo/model demo/photos/autumn/sku-0000.jpg
	target/debug/tagfleet run demo/photos --model demo/model --out $(DEMO_OUT)
	target/debug/tagfleet show $(DEMO_OUT) --rows 12

## Everything that CI runs.
test:
	scripts/setup.sh test
	cargo build --workspace --all-targets
	cargo nextest run --workspace
	cargo test --workspace --doc --quiet

## What a change must pass before it is committed.
check:
	scripts/setup.sh check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet
	cargo deny --workspace check bans licenses sources
	$(MAKE) test

## The optimised `tagfleet`, into cargo's bin folder.
install: setup
	cargo install --path cli --locked

setup:
	scripts/setup.sh
