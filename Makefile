# The project's commands. `make` alone lists them.

# Programs installed by `make setup` come before the system's.
export PATH := $(CURDIR)/node_modules/.bin:$(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
# Queries are checked against the committed .sqlx. A DATABASE_URL in your shell is for the program.
export SQLX_OFFLINE := true

# All that the release is made of.
SOURCES := $(shell find Cargo.toml Cargo.lock .cargo .sqlx app crates frontend migrations public server style -type f -not -path 'crates/bench/*')

MAKEFLAGS += --no-print-directory
.PHONY: help setup setup-run run watch build test lint fmt e2e screenshots bench load chaos audit sqlx openapi

help: ## lists the commands
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

setup: ## installs what is missing, once
	@scripts/setup test

setup-run:
	@scripts/setup run

run: build ## builds and starts Onceward, with a PostgreSQL and a posting service of its own
	@exec target/release/onceward serve

watch: setup-run ## the same, built for debugging, rebuilt at each change
	@cargo leptos watch -- serve

build: target/release.stamp ## the release: target/release/onceward, with the page in target/site

# cargo-leptos optimises and compresses the page's WASM each time, changed or not, for half a
# minute. The stamp is as old as the build's beginning: what is edited meanwhile is built next time.
target/release.stamp: $(SOURCES) | setup-run
	@mkdir -p target && touch $@.new
	@cargo leptos build --release --precompress
	@mv $@.new $@

test: setup ## everything that a change must pass; says what each step took
	@scripts/test

lint: setup ## formatting, clippy for both targets, the types of the end-to-end tests
	@scripts/lint

fmt: setup ## formats the Rust code
	@cargo fmt --all

e2e: setup build ## the end-to-end tests, in a browser against the release
	@playwright test --config end2end

screenshots: setup build ## takes the screenshots in docs/screenshots anew
	@SCREENSHOTS=1 playwright test --config end2end screenshots

bench: build ## the benchmarks, written to docs/BENCHMARKS.md; BENCH="--only 1,3 --short" changes it
	@cargo build --quiet --release --package bench
	@exec target/release/bench $(BENCH)

load: build ## a load against a fresh release, then the audit; LOAD="--rate 500" changes it
	@scripts/load $(LOAD)

chaos: setup ## every fault test with real processes; CHAOS="--transactions 500 --seed 1" changes it
	@cargo test --quiet -p server --test chaos -- --full $(CHAOS)

audit: ## licences, sources and known vulnerabilities of the dependencies (needs cargo-deny)
	@cargo deny check

openapi: setup ## writes docs/openapi.json anew, after a change to a route or its documentation
	@UPDATE_OPENAPI=1 cargo test --quiet -p server --bin onceward openapi

sqlx: setup ## writes .sqlx anew, after a change to a query or the schema
	@scripts/with-postgres scripts/prepare-sqlx
