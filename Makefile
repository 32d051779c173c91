# Every target works from a fresh clone on Debian 12 or later with Go, git,
# make and root; `make provision` (part of `make test`) installs the rest.

GO       ?= go
FUZZTIME ?= 20s
ARCH     := $(shell $(GO) env GOARCH)

VERSION    := $(shell packaging/version)
MAINTAINER ?= Bascule developers <bascule@localhost.localdomain>
DEB        := build/bascule_$(VERSION)-1_$(ARCH).deb

# The same commit gives the same bytes, whenever and wherever it is built.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
BUILDFLAGS := -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

# Tools are pinned in a module of their own, apart from the daemon's.
TOOL := $(GO) tool -modfile=.ci/tools.mod

export SOURCE_DATE_EPOCH VERSION ARCH MAINTAINER

.DEFAULT_GOAL := build
.PHONY: help build demo deb test provision vet test-race simulate test-ipvs test-servers test-vm fuzz test-deb lint clean FORCE bench

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

build: build/bascule ## build/bascule: static, stripped

# The go command knows better than make what is out of date.
build/bascule build/lab: build/%: FORCE
	@mkdir -p build
	CGO_ENABLED=0 $(GO) build $(BUILDFLAGS) -o $@ ./cmd/$*

demo: provision build/bascule build/lab ## the tutorial's network, a director lost, a web server lost: under 2 minutes
	testdata/vm/exec -t 300 build/lab demo --bascule build/bascule

deb: $(DEB) ## build/bascule_VERSION_ARCH.deb

$(DEB): build/bascule FORCE
	@mkdir -p build/package
	gzip -9nc packaging/bascule.8 >build/package/bascule.8.gz
	gzip -9nc packaging/bascule.toml.5 >build/package/bascule.toml.5.gz
	gzip -9nc CHANGELOG.md >build/package/changelog.gz
	packaging/changelog '$(VERSION)' '$(MAINTAINER)' | gzip -9nc >build/package/changelog.Debian.gz
	build/bascule completion bash >build/package/completion.bash
	build/bascule completion zsh >build/package/completion.zsh
	build/bascule completion fish >build/package/completion.fish
	$(TOOL) nfpm package --packager deb --target $@

test: provision vet test-race simulate test-ipvs test-servers fuzz test-deb ## everything that can be tested, in that order
	@echo "== all passed"

provision: ## install what the tests need (root, apt); silent when it is there
	@.ci/provision

vet:
	@echo "== vet"
	$(GO) vet ./...
	$(GO) vet -tags ipvs,servers ./...

# The race detector waits before each end of a process, for what goroutines may
# still do: for a second, if nobody says how long, and the tests of cmd/bascule
# start hundreds.
test-race: export GORACE ?= atexit_sleep_ms=100
test-race: ## all tests that the running kernel can do, with the race detector
	@echo "== tests, with the race detector"
	@.ci/figures build/test-race.log $(GO) test -race -count=1 -v ./...

# Without the race detector, which costs ten times as much and has seen it above.
EVENTS ?= 10000000

simulate: ## clusters of directors in virtual time, until EVENTS (10000000) events
	@echo "== simulation"
	@.ci/figures build/simulate.log \
		$(GO) test -count=1 -v -run '^TestSimulation$$' ./vrrp -simulation.events=$(EVENTS)

# One package at a time: each is a machine of its own, with two processors.
test-ipvs: ## the tests that need IPVS, in a virtual machine if need be
	@echo "== tests that need IPVS"
	packages=$$(.ci/list ipvs) && tests=$$(.ci/list ipvs-tests) && \
	CGO_ENABLED=0 .ci/figures build/test-ipvs.log \
		$(GO) test -tags ipvs -p 1 -count=1 -v -timeout 20m -run "$$tests" \
		-exec 'env BASCULE_VM_TIMEOUT=1200 $(CURDIR)/testdata/vm/exec' $$packages

# They need no IPVS, and what they start is slow to emulate.
test-servers: ## every kind of check against real servers from Debian's packages
	@echo "== checks of real servers"
	@.ci/provision servers
	CGO_ENABLED=0 .ci/figures build/test-servers.log \
		$(GO) test -tags servers -count=1 -parallel 8 -v -exec '$(CURDIR)/testdata/servers/exec' ./checker/servers

test-vm: ## the virtual machine itself: what it promises to the tests in it
	testdata/vm/test

fuzz: ## every fuzz target for FUZZTIME (20s) each
	@.ci/fuzz $(FUZZTIME)

BENCHTIME ?= 3x

# The first half needs IPVS; the second needs processors that are not emulated.
bench: provision build/bascule ## fail-over, downloads, scale, checks and lateness beside keepalived's, in one run
	CGO_ENABLED=0 $(GO) test -tags ipvs -run '^$$' -bench . -benchtime $(BENCHTIME) -timeout 120m \
		-exec 'env BASCULE_VM_TIMEOUT=7200 BASCULE_BENCH_BINARY=$(CURDIR)/build/bascule $(CURDIR)/testdata/vm/exec' ./cmd/bascule
	BASCULE_BENCH_BINARY=$(CURDIR)/build/bascule $(GO) test -run '^$$' -bench . -benchtime 1x -timeout 20m ./cmd/bascule

test-deb: deb ## install, upgrade, remove and purge the package in a container
	@echo "== package"
	packaging/test/run $(DEB)

lint: vet ## gofmt, go.mod, go vet, golangci-lint, shellcheck
	@.ci/lint

clean: ## remove build/
	rm -rf build
