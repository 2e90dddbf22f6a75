# The two commands of a new user: `make up` and `make test`. The rest is for people who change the code.

export SQLX_OFFLINE ?= true
BIN := target/debug/llmplane
TEST_STATE := target/test-plane

.PHONY: up down test lint generate bench install build

up: install build ## a control plane on this machine, sample vendor and manifests included
	@examples/first-run/up

down: ## stop it; the state stays. `make down PURGE=1` removes that too
	@examples/first-run/down $(if $(PURGE),--purge)

test: install ## every test, on a control plane of its own
	@tests/run

lint: ## format, clippy, licenses
	cargo fmt --all --check
	cargo clippy --all-targets -- -D warnings
	cargo deny check bans licenses sources

generate: build ## CRDs, OpenAPI, .sqlx
	@.ci/generate

bench: install ## the performance table
	cargo bench --bench table

install:
	@.ci/install

build:
	cargo build --bin llmplane --example sample-vendor
