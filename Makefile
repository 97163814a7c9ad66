# make demo            builds the library and the demo API, and runs the quickstart against it
# make test            everything that a change must pass; minutes
# make test-reference  the library against apilinker, field by field: docs/differences.md, docs/reference-parity.md
# make docs            the reference of apl.h and apl.hpp, in target/docs
# make test-docs       every snippet of docs/guide compiled and run, the reference, and what an editor makes of connectors
# make test-servers    the library with httpbin, nginx, caddy, squid, a SOCKS proxy, servers of lists, GraphQL, OAuth and AWS
# make test-fuzz       the readers of what comes from outside, at random, against simple models
# make conformance     other projects' cases, from the folder APL_CONFORMANCE_DIR, and our own in their form
# make windows         apl.dll and its import library, and the C programs under wine
# make nightly         what takes longer
# make bench           the library against libcurl, both called from C
# make headers         generates the committed headers again, after a change in src/ffi
# make clean           removes what was built
#
# What is missing is installed by name with apt (as root), but for Rust itself.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# Each crate builds in its own folder, whatever the caller's environment says.
unexport CARGO_TARGET_DIR CARGO_BUILD_TARGET RUSTFLAGS
# Where a Go toolchain lands on a machine without one, and where Debian has its servers.
export PATH := $(PATH):$(CURDIR)/target/tools/go/bin:/usr/sbin

HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
RELEASE := target/release
ASAN := target/asan/$(HOST)/debug
DEMO := examples/demo-server/target/debug

CC := gcc
C_STRICT := -std=c99 -D_XOPEN_SOURCE=700 -O1 -g -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Werror -Iinclude
C_TESTS := basic cancel_signal sse
EXAMPLES := quickstart download events llm_chat records sign_in
# Needs a server of its own; keepalive is for tests/syscalls.sh, listing for tests/pages_memory.
C_PROGRAMS := $(C_TESTS) tls keepalive listing
VALGRIND := valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect

with_demo := tests/support/with-server DEMO_URL $(DEMO)/demo-server
with_hostile := tests/support/with-server HOSTILE_URL $(DEMO)/hostile-server
# The server makes its certificates, and its authority is what the program is to trust.
TLS_FOLDER := $(CURDIR)/target/c/tls-server
with_tls := TLS_FOLDER=$(TLS_FOLDER) TLS_CA=$(TLS_FOLDER)/ca.pem tests/support/with-server TLS_URL tests/support/tls-server
say = @printf '\n== %s\n' '$(1)'

.PHONY: help demo test nightly bench headers clean
help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

# --- what is needed -----------------------------------------------------------------------------------------

.PHONY: need-demo need-test need-reference need-docs need-servers need-conformance need-fuzz need-windows need-bench
need-demo:
	@.ci/need cargo gcc
need-test: need-demo
	@.ci/need rustfmt clippy g++ clang nm libasan valgrind strace openssl curl python3 go
need-reference: need-demo
	@.ci/need python3
need-docs: need-demo
	@.ci/need doxygen
need-servers: need-demo
	@.ci/need python3 openssl nginx squid microsocks zstd caddy npm docker-registry libfaketime
need-conformance: need-demo
	@.ci/need g++ nlohmann-json python3
need-fuzz: need-demo
	@.ci/need g++ cargo-fuzz
need-windows: need-demo
	@.ci/need mingw wine64 openssl

need-bench: need-demo
	@.ci/need nginx libcurl openssl taskset python3

# --- what is built ------------------------------------------------------------------------------------------

# A program linked against the library asks for its SONAME, so that name must be beside it.
soname = ln -sf libapl.so $(1)/libapl.so.1

.PHONY: lib lib-debug lib-asan servers
# Not `cargo build`: our crate is an rlib too, for its tests, and where it makes one of those along with the others,
# cargo leaves `lto` out without a word.
lib: need-demo
	@cargo rustc --locked --release --lib --crate-type cdylib,staticlib
	@$(call soname,$(RELEASE))

# With the names of its functions: what is said about ring under valgrind needs them.
lib-debug: need-demo
	@cargo build --locked
	@$(call soname,target/debug)

# AddressSanitizer is an unstable flag of the same, stable compiler. --target keeps it out of build scripts.
lib-asan: need-test
	@RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address \
		cargo build --locked --target $(HOST) --target-dir target/asan
	@$(call soname,$(ASAN))

servers: need-demo
	@cargo build --locked --manifest-path examples/demo-server/Cargo.toml

$(EXAMPLES:%=target/c/%): target/c/%: examples/c/%.c include/apl.h | lib
	@mkdir -p $(@D)
	$(CC) $(C_STRICT) $< -o $@ -L$(RELEASE) -lapl -Wl,-rpath,$(CURDIR)/$(RELEASE)

target/c/%: tests/c/%.c tests/c/harness.h tests/c/folders.h tests/c/sockets.h include/apl.h | lib
	@mkdir -p $(@D)
	$(CC) $(C_STRICT) $< -o $@ -pthread -L$(RELEASE) -lapl -Wl,-rpath,$(CURDIR)/$(RELEASE)

$(EXAMPLES:%=target/c/asan/%): target/c/asan/%: examples/c/%.c include/apl.h | lib-asan
	@mkdir -p $(@D)
	$(CC) $(C_STRICT) -fsanitize=address $< -o $@ -L$(ASAN) -lapl -Wl,-rpath,$(CURDIR)/$(ASAN)

target/c/asan/%: tests/c/%.c tests/c/harness.h tests/c/folders.h tests/c/sockets.h include/apl.h | lib-asan
	@mkdir -p $(@D)
	$(CC) $(C_STRICT) -fsanitize=address $< -o $@ -pthread -L$(ASAN) -lapl -Wl,-rpath,$(CURDIR)/$(ASAN)

# --- demo ---------------------------------------------------------------------------------------------------

demo: need-demo lib servers target/c/quickstart
	$(call say,the quickstart with the demo API)
	@$(with_demo) target/c/quickstart examples/connector.yaml

# --- test ---------------------------------------------------------------------------------------------------

# In this order, so that what is quick to fail fails quickly; each step also by its own name.
TESTS := test-format test-lint test-rust test-abi test-c test-syscalls test-torture test-valgrind test-asan test-loom test-go
.PHONY: $(TESTS)
test: need-test
	@started=$$SECONDS; \
	for step in $(TESTS); do $(MAKE) --no-print-directory $$step; done; \
	printf '\n== all steps passed in %d s\n' $$((SECONDS - started))

test-format:
	$(call say,format)
	@cargo fmt --all --check
	@cd examples/demo-server && cargo fmt --check

test-lint:
	$(call say,lint)
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@cargo clippy --locked --manifest-path examples/demo-server/Cargo.toml --all-targets -- -D warnings

test-rust:
	$(call say,Rust tests)
	@cargo test --locked --features test-hooks

test-abi: lib
	$(call say,the C ABI: headers and signatures and symbols)
	@tests/abi/check.sh

test-c: servers $(C_PROGRAMS:%=target/c/%) $(EXAMPLES:%=target/c/%)
	$(call say,C tests)
	@for t in $(C_TESTS); do $(with_hostile) target/c/$$t; done
	@$(with_tls) target/c/tls
	@$(with_demo) target/c/quickstart examples/connector.yaml
	@$(with_demo) tests/download_example
	@$(with_demo) target/c/events examples/streams.yaml
	@$(with_demo) target/c/llm_chat examples/streams.yaml
	@! $(with_demo) target/c/llm_chat examples/streams.yaml 'cut it'
	@$(with_demo) tests/records_example
	@$(with_demo) target/c/sign_in examples/sign_in.yaml
	@$(with_demo) tests/pages_memory

test-syscalls: servers target/c/keepalive
	$(call say,system calls of a GET)
	@$(with_hostile) tests/syscalls.sh

test-torture: servers target/c/download
	$(call say,downloads whose system calls fail one by one)
	@$(with_demo) tests/torture
	@tests/download_memory 32 256

test-valgrind: servers lib-debug $(C_PROGRAMS:%=target/c/%) $(EXAMPLES:%=target/c/%)
	$(call say,C tests under valgrind)
	@# Without optimization: in the optimized apl_stream_open it sees a branch on bytes that were never written, here none.
	@LD_LIBRARY_PATH=target/debug $(with_hostile) $(VALGRIND) target/c/basic
	@$(with_hostile) $(VALGRIND) target/c/cancel_signal
	@LD_LIBRARY_PATH=target/debug $(with_hostile) $(VALGRIND) target/c/sse
	@STACK_KIB=256 LD_LIBRARY_PATH=target/debug $(with_tls) $(VALGRIND) --suppressions=tests/c/valgrind.supp target/c/tls
	@$(with_demo) $(VALGRIND) target/c/quickstart examples/connector.yaml
	@$(with_demo) $(VALGRIND) target/c/events examples/streams.yaml
	@$(with_demo) $(VALGRIND) target/c/llm_chat examples/streams.yaml
	@$(with_demo) $(VALGRIND) target/c/sign_in examples/sign_in.yaml
	@rm -f target/c/place; $(with_demo) $(VALGRIND) target/c/records examples/pages.yaml target/c/place 25

test-asan: servers $(C_PROGRAMS:%=target/c/asan/%) $(EXAMPLES:%=target/c/asan/%)
	$(call say,C tests under AddressSanitizer)
	@for t in $(C_TESTS); do $(with_hostile) target/c/asan/$$t; done
	@STACK_KIB=512 $(with_tls) target/c/asan/tls
	@$(with_demo) target/c/asan/quickstart examples/connector.yaml
	@$(with_demo) target/c/asan/events examples/streams.yaml
	@$(with_demo) target/c/asan/llm_chat examples/streams.yaml
	@$(with_demo) target/c/asan/sign_in examples/sign_in.yaml
	@rm -f target/c/asan/place; $(with_demo) target/c/asan/records examples/pages.yaml target/c/asan/place

test-loom:
	$(call say,every interleaving of the small lock-free parts)
	@RUSTFLAGS='--cfg loom' cargo test --locked --release --manifest-path tests/loom/Cargo.toml

test-go: servers lib
	$(call say,Go)
	@cd tests/go && test -z "$$(gofmt -l .)" && go vet ./... && \
		GODEBUG=cgocheck=1 ../support/with-server HOSTILE_URL ../../$(DEMO)/hostile-server go test -count=1 -v ./...

# --- the reference ------------------------------------------------------------------------------------------

# WORD: only the cases with it in their names; --write fills in the last column of docs/reference-parity.md.
.PHONY: test-reference
test-reference: need-reference lib target/reference/requirements.txt
	$(call say,apilinker and apl: the same blocks and the same calls)
	@target/reference/bin/python -B tests/reference/compare.py $(RELEASE)/libapl.so $(WORD)

target/reference/requirements.txt: tests/reference/requirements.txt
	@python3 -m venv --clear target/reference
	@target/reference/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	@cp $< $@

# --- documentation ------------------------------------------------------------------------------------------

DOXYGEN = APL_VERSION=$$(sed -n 's/^\#define APL_VERSION "\(.*\)"/\1/p' include/apl.h) doxygen -
GUIDE_EDITOR := target/guide/editor/package-lock.json
.PHONY: docs test-docs need-test-docs
docs: need-docs
	$(call say,the reference)
	@mkdir -p target/docs
	@{ cat docs/reference/Doxyfile; echo 'INPUT = include/apl.h docs/reference/c.dox'; } | $(DOXYGEN)
	@{ cat docs/reference/Doxyfile; echo 'WARN_NO_PARAMDOC = NO'; } | $(DOXYGEN)
	@echo 'target/docs/index.html'

need-test-docs: need-docs
	@.ci/need g++ libasan python3 go npm curl

# PAGE: only these pages.
test-docs: need-test-docs docs lib servers $(GUIDE_EDITOR)
	$(call say,the guide: every snippet compiled and run)
	@python3 -B tests/guide/run.py $(PAGE)
	$(call say,connectors in an editor)
	@node tests/guide/editor/check.mjs target/guide/editor.json target/guide/pages $(CURDIR)

$(GUIDE_EDITOR): tests/guide/editor/package-lock.json
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@cp tests/guide/editor/package.json tests/guide/editor/package-lock.json $(@D)
	@cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

# --- servers of others --------------------------------------------------------------------------------------

# The same build as test-rust.
.PHONY: test-servers
test-servers: need-servers
	$(call say,httpbin and nginx and caddy and squid and microsocks and servers of lists and GraphQL and OAuth and AWS)
	@tests/servers/run cargo test --locked --features test-hooks --test servers -- --ignored --skip alone_

# --- other projects' cases ----------------------------------------------------------------------------------

CXX := g++
CXX_STRICT := -std=c++17 -O1 -g -Wall -Wextra -Wpedantic -Wshadow -Werror -Iinclude
CONFORMANCE := --adapter tests/conformance/adapter -j 2 --except tests/conformance/exceptions

tests/conformance/adapter: tests/conformance/adapter.cpp include/apl.hpp include/apl.h | need-conformance lib
	$(CXX) $(CXX_STRICT) $< -o $@ -pthread -L$(RELEASE) -lapl -Wl,-rpath,$(CURDIR)/$(RELEASE)

.PHONY: conformance-adapter conformance
conformance-adapter: tests/conformance/adapter

conformance:
	$(call say,cases of other projects and our own in their form)
	@if [[ -z $${APL_CONFORMANCE_DIR:-} ]]; then \
		echo 'SKIPPED: APL_CONFORMANCE_DIR is not set. It names the folder of drive.py and its scenarios.'; \
		exit 0; \
	fi; \
	$(MAKE) --no-print-directory conformance-adapter; \
	python3 -B "$$APL_CONFORMANCE_DIR/drive.py" $(CONFORMANCE) --strict --skip-tag policy-retry-5xx \
		"$$APL_CONFORMANCE_DIR"/scenarios/*.json tests/conformance/cases/*.json; \
	python3 -B tests/conformance/streams.py tests/conformance/adapter tests/conformance/cases/streams/*.json

# --- at random ----------------------------------------------------------------------------------------------

FUZZ_SECONDS := 10
FUZZ_TARGETS := $(patsubst tests/fuzz/targets/%.rs,%,$(wildcard tests/fuzz/targets/*.rs))
.PHONY: test-fuzz
test-fuzz: need-fuzz
	$(call say,fuzzing: each target for $(FUZZ_SECONDS) s)
	@cd tests/fuzz && for t in $(FUZZ_TARGETS); do \
		RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir . $$t -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -verbosity=0 -print_final_stats=1; \
	done

# --- Windows ------------------------------------------------------------------------------------------------

# All it makes is in target/windows; the library is in build/x86_64-pc-windows-gnu/release there.
.PHONY: windows
windows: need-windows servers
	$(call say,apl.dll and the C programs under wine)
	@tests/windows/run

# --- the rest -----------------------------------------------------------------------------------------------

nightly: test need-windows
	$(call say,the tests again and again: what depends on timing shows itself)
	@for i in {1..20}; do cargo test --locked --quiet --features test-hooks; done
	@for i in {1..20}; do for t in $(C_TESTS); do $(with_hostile) target/c/asan/$$t; done; done
	@$(MAKE) --no-print-directory test-fuzz FUZZ_SECONDS=300
	$(call say,downloads that are killed 200 times)
	@.ci/need python3 openssl nginx squid microsocks zstd caddy npm docker-registry libfaketime
	@APL_TEST_KILLS=50 tests/servers/run cargo test --locked --features test-hooks --test servers killed_ -- --ignored
	$(call say,a server that misbehaves at random)
	@APL_TEST_SEED=$$RANDOM$$RANDOM APL_TEST_CASES=5000 cargo test --locked --features test-hooks --test downloads whatever_a_server_does
	$(call say,an upload of a GiB in flat memory)
	@APL_TEST_UPLOAD_MIB=1024 cargo test --locked --features test-hooks --test uploads an_upload_takes_no_memory
	$(call say,downloads of a GiB in flat memory)
	@tests/download_memory
	$(call say,Go with the race detector)
	@cd tests/go && ../support/with-server HOSTILE_URL ../../$(DEMO)/hostile-server go test -race -count=5 ./...
	$(call say,the unit tests as Windows runs them)
	@tests/windows/cargo test --lib
	$(call say,licences and sources of what we depend on)
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	@cargo deny check licenses bans sources

# One WORK or more: make bench WORK='get-200 size'. Nothing else should be running.
bench: need-bench lib
	@python3 bench/run.py $(WORK)

headers:
	@APL_BLESS=1 cargo test --locked --test headers
	@git status --short include bindings

clean:
	@cargo clean
	@cargo clean --manifest-path examples/demo-server/Cargo.toml
	@cargo clean --manifest-path tests/loom/Cargo.toml
	@rm -f tests/conformance/adapter
