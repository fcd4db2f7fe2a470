# The project's commands. `make` alone lists them.

# Programs that `make setup` installs take precedence over the system's.
export PATH := $(CURDIR)/node_modules/.bin:$(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
# Queries are checked against the committed .sqlx. A DATABASE_URL in your shell is for the program only.
export SQLX_OFFLINE := true

# Everything that the release is built from.
SOURCES := $(shell find Cargo.toml Cargo.lock .cargo .sqlx app crates frontend migrations public server style -type f -not -path 'crates/bench/*')

MAKEFLAGS += --no-print-directory
.PHONY: help setup setup-run run watch build test lint fmt e2e screenshots bench load chaos fuzz audit sqlx openapi

help: ## lists the commands
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

setup: ## installs what is missing, once
	@scripts/setup test

setup-run:
	@scripts/setup run

run: build ## builds and starts Onceward, with its own PostgreSQL and a simulated posting service
	@exec target/release/onceward serve

watch: setup-run ## starts a debug build of Onceward, and rebuilds it at each change
	@cargo leptos watch -- serve

build: target/release.stamp ## builds the release: target/release/onceward, and the page's files in target/site

# cargo-leptos optimises and compresses the page's WASM each time, for half a minute, even if nothing
# changed. The stamp has the time when the build began, so files that are edited meanwhile are built
# next time.
target/release.stamp: $(SOURCES) | setup-run
	@mkdir -p target && touch $@.new
	@cargo leptos build --release --precompress
	@mv $@.new $@

test: setup ## runs everything that a change must pass, and says how long each step took
	@scripts/test

lint: setup ## checks formatting, lints for both targets, the end-to-end tests' types, and links in pages
	@scripts/lint

fmt: setup ## formats the Rust code
	@cargo fmt --all

e2e: setup build ## runs the end-to-end tests, in a browser against the release
	@playwright test --config end2end

screenshots: setup build ## takes the screenshots in docs/screenshots again
	@SCREENSHOTS=1 playwright test --config end2end screenshots

bench: build ## runs the benchmarks and writes docs/BENCHMARKS.md; options: BENCH="--only 1,3 --short"
	@cargo build --quiet --release --package bench
	@exec target/release/bench $(BENCH)

load: build ## puts a fresh release under load, then audits it; options: LOAD="--rate 500"
	@scripts/load $(LOAD)

chaos: setup ## runs every fault test with real processes; options: CHAOS="--transactions 500 --seed 1"
	@cargo test --quiet -p server --test chaos -- --full $(CHAOS)

fuzz: ## tries the parsers with made-up input, 10 minutes each (needs cargo-fuzz); options: FUZZ=amount FUZZ_SECONDS=60
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) scripts/fuzz $(FUZZ)

audit: ## checks the dependencies' licences, sources and known vulnerabilities (needs cargo-deny), and the API's document (needs npx)
	@cargo deny check
	@scripts/lint-openapi

openapi: setup ## rewrites docs/openapi.json and docs/PERMISSIONS.md, after a change to a route, its documentation or its permission
	@UPDATE_OPENAPI=1 cargo test --quiet -p server --bin onceward the_committed_

sqlx: setup ## rewrites .sqlx, after a change to a query or the schema
	@scripts/with-postgres scripts/prepare-sqlx
