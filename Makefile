# The commands people use. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help build demo boutique test soak soak-hostile kills fuzz lint mutants bench density compare prepare

CARGO ?= cargo
BIN := $(or $(CARGO_TARGET_DIR),target)/release

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST))

build: prepare ## build the isolith binary (the first time: a few minutes)
	$(CARGO) build --release --locked -p isolith-runtime --bin isolith

demo: build ## build the example shop, serve it, and deploy a new version while requests are open
	@scripts/demo $(BIN)/isolith

boutique: build ## build a shop of eleven services, and serve it at http://127.0.0.1:8080
	@scripts/boutique $(BIN)/isolith serve

test: lint build ## check format and lints, run every test, and seed bugs in versions/
	$(CARGO) test --release --locked --workspace
	@scripts/mutation-gate versions

soak: build ## load, change and kill a process for two minutes, or SECONDS=600
	ISOLITH_SOAK_SECONDS=$(or $(SECONDS),120) $(CARGO) test --release --locked -p isolith-tests \
		--test e2e soak::no_request -- --nocapture

soak-hostile: build ## hostile and good services mixed, for ten minutes or SECONDS=60
	ISOLITH_SOAK_HOSTILE_SECONDS=$(or $(SECONDS),600) $(CARGO) test --release --locked -p isolith-tests \
		--test e2e hostile::soak -- --nocapture

kills: build ## kill a process 200 times while it is changed, or KILLS=1000 times
	ISOLITH_SOAK_KILLS=$(or $(KILLS),200) $(CARGO) test --release --locked -p isolith-tests \
		--test e2e soak::a_process_killed -- --nocapture

fuzz: prepare ## damage messages for ten minutes, or SECONDS=60: do both readers see the same?
	ISOLITH_FUZZ_SECONDS=$(or $(SECONDS),600) $(CARGO) test --release --locked -p isolith-runtime \
		--lib messages::fuzz::fuzz -- --ignored --nocapture

lint: prepare ## check format and lints
	@scripts/check-tools --lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

mutants: prepare ## seed each bug of a list, and see which test catches it
	@scripts/mutation-gate

bench: prepare ## measure the call path, and services beside bad neighbours, for some twelve minutes, longer where a virtual machine's host is busy; the numbers also go to target/bench.json
	$(CARGO) run --release --locked -p isolith-runtime --bin isolith-bench

density: prepare ## load 10,000 services, or SERVICES=300, and measure starts and memory
	$(CARGO) run --release --locked -p isolith-runtime --bin isolith-bench -- density $(or $(SERVICES),10000)

compare: build ## compare the boutique and single calls here, on workerd and on Node, for some fifteen minutes; needs node and npm
	@scripts/boutique $(BIN)/isolith build
	@rm -rf services/examples/echo/data
	@for s in caller echo; do $(BIN)/isolith build services/examples/echo/$$s -o services/examples/echo/dist/$$s.isolith; done
	cd services/examples/boutique/hosting && npm ci --no-audit --no-fund && npm run build
	$(CARGO) bench --locked -p isolith-tests --bench compare -- --report $(CURDIR)/docs/comparison.md

# What has to be there before cargo runs.
prepare:
	@scripts/check-tools
	@scripts/v8
