# The two commands of a new user: `make up` and `make test`. The rest is for people who change the code.

export SQLX_OFFLINE ?= true
# Where the scripts look for what was built, whatever the environment says.
export CARGO_TARGET_DIR := $(CURDIR)/target
BIN := target/debug/llmplane
TEST_STATE := target/test-plane

.PHONY: up down test test-signatures lint generate bench fuzz test-python test-openapi generate-python test-langchain test-real test-paths live install build image test-chart test-cluster krew soak docs

up: install build ## a control plane on this machine, sample vendor and manifests included; with CLUSTER=1 everything as pods
	@$(if $(CLUSTER),.ci/install cluster && .ci/tools helm && examples/cluster/up,examples/first-run/up)

down: ## stop it; the state stays. `make down PURGE=1` removes that too; CLUSTER=1 as with `up`
	@examples/$(if $(CLUSTER),cluster,first-run)/down $(if $(PURGE),--purge)

test: install ## every test, on a control plane of its own
	@tests/run

PROFILE ?= release
test-cluster: install build ## image and chart as pods on a real node; root and cgroups needed. PROFILE=debug saves the release build
	@.ci/install cluster
	$(if $(filter release,$(PROFILE)),packaging/cargo build --release --locked --bin llmplane)
	@PROFILE=$(PROFILE) tests/cluster/run

test-chart: install ## the Helm chart alone, rendered, applied, upgraded, uninstalled
	@tests/run --test behaviour chart::

.PHONY: console test-console
console: ## the console's page, after a change in console/; its build is committed
	@console/test/install
	@cd console && npx --no-install tsc --noEmit && npx --no-install vite build --logLevel warn

test-console: install build ## every view of the console in a real Chromium, and that its build is current
	@console/test/run

test-signatures: ## AWS signatures, against an independent signer
	@tests/signatures/run

image: install ## an OCI image of the release build, its SBOM and provenance, in target/image
	packaging/cargo build --release --locked --bin llmplane
	@packaging/image target/release/llmplane target/image

krew: install ## the archive that Krew installs kubectl llm from, and its manifest, in target/krew
	packaging/cargo build --release --locked --bin llmplane
	@packaging/krew/make target/release/llmplane target/krew

docs: ## the documentation as a site, in target/site
	@packaging/site target/site

lint: ## format, clippy, licenses
	cargo fmt --all --check
	cargo clippy --all-targets -- -D warnings
	cargo deny check bans licenses sources

generate: build ## CRDs, OpenAPI, .sqlx
	@.ci/generate

bench: install ## the performance table
	packaging/cargo bench --bench table

soak: install ## an hour of changes and faults, two replicas of each; SOAK_MINUTES=5 SOAK_RESOURCES=1000 SOAK_NAMESPACES=20 for less
	packaging/cargo bench --bench soak

FUZZ_SECONDS ?= 600
fuzz: ## every fuzz target for FUZZ_SECONDS each; needs cargo-fuzz and a nightly toolchain
	@FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz/run

test-python: install build ## the Python client, against a plane of its own
	@clients/python/tests/run

test-openapi: install build ## the running API against its own description, with all of schemathesis's checks; SEED=7 for the same again
	@tests/openapi/run $(if $(SEED),--seed $(SEED))

generate-python: ## the Python client's models, after a change of the API's description
	@clients/python/tests/run generate

test-langchain: ## LangChain's constructors take what the drivers say
	@tests/langchain/run

test-real: install ## manifests to Ready against LiteLLM's proxy
	@tests/real/run

test-paths: install ## every path to the same end, with faults on the way; half an hour
	@cargo test --quiet --test paths -- --nocapture

live: ## each driver whose key is in the environment, against its real vendor
	@cargo run --quiet --example live

install:
	@.ci/install

build:
	cargo build --bin llmplane --example sample-vendor
