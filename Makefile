# The targets that a person calls; `make` alone lists them. What they check is
# in .ci/run, which runs all of it.

TOOL = go tool -modfile=tools/go.mod
FUZZTIME ?= 30s
BENCH ?= .
PKG ?= ./...

.DEFAULT_GOAL := help
.PHONY: help build test race e2e judge bench fuzz fmt lint generate tidy check ci

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## compile the programs into bin/
	go build -o bin/ ./cmd/...

test: ## run the tests; PKG=./pkg/events/... for some of them
	go test $(PKG)

race: ## run the tests with the race detector
	go test -race $(PKG)

e2e: ## run the built programs against each other, killing some
	go test -count=1 -v ./e2e/...

judge: ## ask a Temporal server and Annals the same; the first time compiles the server
	.ci/run judge

bench: ## run the benchmarks; BENCH=Append for some of them
	go test -run '^$$' -bench '$(BENCH)' $(PKG)

fuzz: ## run every fuzz target for FUZZTIME, 30s by default
	FUZZTIME=$(FUZZTIME) .ci/run fuzz

fmt: ## format the code
	$(TOOL) gofumpt -w .

lint: ## run the linters
	$(TOOL) golangci-lint run ./...

generate: ## make the generated code anew
	go generate ./...
	tools/proto generate

tidy: ## mend go.mod, here and in the modules below
	go mod tidy
	cd tools && go mod tidy
	cd e2e/temporal && go mod tidy

check: ## what needs no tests: format, vet, tidy, modules, lint
	.ci/run format vet tidy modules lint

ci: ## everything that CI runs
	.ci/run
