# `make` alone lists the targets.
SHELL       := /bin/bash
GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unreleased)
CACHE       := .cache
LINT        := $(CACHE)/bin/golangci-lint
VERSITYGW   := $(CACHE)/bin/versitygw
WITHSERVICES = $(GO) run ./internal/drivertest/services/cmd/withservices
LDFLAGS     := -s -w -X main.version=$(VERSION)
GO_SOURCES   = $(shell find cmd internal console -name '*.go' -o -name '*.sql' -o -path '*/localidp/web/*' -type f 2>/dev/null)
WEB_SOURCES  = $(shell find console/src console/public console/index.html console/*.json console/*.ts -type f 2>/dev/null)
ARGS        ?=

.PHONY: help run build console test unit e2e e2e-kube bench screenshots golden lint lint-kube fmt clean fuzz

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build everything and start it on the embedded defaults, data in ./lodge-data
	./bin/lodge serve $(ARGS)

build: bin/lodge ## build bin/lodge with the console inside

console: console/dist/index.html

console/node_modules/.package-lock.json: console/package-lock.json
	cd console && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

console/dist/index.html: console/node_modules/.package-lock.json $(WEB_SOURCES)
	cd console && npm run --silent build

bin/lodge: console/dist/index.html go.mod go.sum $(GO_SOURCES)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/lodge

test: build $(VERSITYGW) ## everything that must pass, with the race detector; starts the services it needs
	cd console && npm run --silent typecheck && npm run --silent test && npm run --silent generate:check
	CGO_ENABLED=1 $(WITHSERVICES) $(GO) test -race -timeout 20m ./...
	$(MAKE) --no-print-directory e2e-fast

unit: ## the quick half: Go and console tests that need no other server
	$(GO) test -short ./...

.PHONY: e2e-fast
e2e-fast: build
	cd console && npm run --silent e2e:fast

e2e: build $(VERSITYGW) ## the stories in test/e2e against the real binary, and every page in a real browser
	$(WITHSERVICES) $(GO) test -count=1 -timeout 30m ./test/e2e/... -full
	cd console && npm run --silent e2e

e2e-kube: build ## the stories in test/kube on a real Kubernetes cluster, which it starts and stops; needs root
	./tools/kube/e2e

bench: build $(VERSITYGW) ## measure, side by side with peers; writes docs/benchmarks.md
	./test/load/bench.sh

screenshots: build ## every page in light, dark and phone width, to docs/screenshots
	cd console && npm run --silent screenshots

golden: build ## rewrite the expected outputs; read the diff before you commit
	$(GO) test ./internal/config ./internal/httpapi ./internal/apps/kubernetes -run Golden -update
	cd console && npm run --silent generate

lint: $(LINT) console/node_modules/.package-lock.json ## formatters and linters, Go and console
	$(LINT) run ./...
	cd console && npm run --silent lint && npm run --silent typecheck

lint-kube: $(LINT) ## the same for tools/kube, but not for cmd/hyper: it would read all of Kubernetes
	cd tools/kube && . ./lib.sh && $(CURDIR)/$(LINT) run ./internal/... ./mkimage ./volumes ./wfexec ./wfstub

fmt: $(LINT) ## format the Go code
	$(LINT) fmt ./...

fuzz: ## 60 s for each fuzz target
	@set -e; for p in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$p/*_test.go | cut -d' ' -f2); do \
	    $(GO) test $$p -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-60s}; done; done

$(LINT): tools/lint/go.mod
	cd tools/lint && $(GO) build -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(VERSITYGW): tools/versitygw/go.mod
	cd tools/versitygw && $(GO) build -o ../../$@ github.com/versity/versitygw/cmd/versitygw

clean: ## remove what was built
	rm -rf bin .cache console/dist/assets console/dist/index.html console/node_modules
