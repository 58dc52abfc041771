# echo-trio. On a fresh machine with Python >= 3.11, Node >= 20.19 and make:
#   make demo   ten thousand real sockets against the real server, and the report
#   make test   every check that CI runs

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLIENT := react-client
PEERS := tests/integration/loadgen/peers
PAGE := echo_trio/console/page/index.html
REPORT_PAGE := loadgen/report/page/report.html
PAGE_SOURCES := $(shell find $(CLIENT)/src $(CLIENT)/public $(CLIENT)/*.html $(CLIENT)/*.ts $(CLIENT)/*.json -type f 2>/dev/null)

# Where `make screenshots` puts its pictures.
SHOTS := /tmp/echo-trio-screenshots
# How long `make soak` and `make fuzz` take.
MINUTES := 60
FUZZ_SECONDS = $$(($(MINUTES) * 5))

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The lock files name versions and hashes; the project itself is installed as it stands here.
INSTALL_SELF := $(PIP) install --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.PHONY: help install demo serve test lint house docs types unit client-check browser page peers bench bench-page screenshots cross-check scale conformance mutants soak fuzz hostile elsewhere test-times examples deploy-check cluster-check release-check lock clean

help: ## Use: what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## [A-Z]/ { \
	    group = $$2; sub(/:.*/, "", group); sub(/^[^:]*: /, "", $$2); \
	    if (!(group in rows)) order[++n] = group; \
	    rows[group] = rows[group] sprintf("  make %-14s %s\n", $$1, $$2) \
	  } END { for (i = 1; i <= n; i++) printf "%s%s\n%s", (i > 1 ? "\n" : ""), order[i], rows[order[i]] }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: echo-trio needs Python 3.11 or later; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes --requirement requirements/run.txt
	$(INSTALL_SELF)
	@touch $@

# To compile all of them takes 12 s of CPU; what is imported is compiled then.
$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(PIP) install --no-compile --require-hashes --requirement requirements/dev.txt
	@touch $@

$(CLIENT)/node_modules/.installed: $(CLIENT)/package-lock.json $(CLIENT)/package.json
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? 0 : 1)' \
	  || { echo "make: the page is built with Node 20.19, 22.12 or later" >&2; exit 1; }
	cd $(CLIENT) && npm ci --no-audit --no-fund
	@touch $@

# Whether its types fit is asked by client-check, beside other checks.
$(PAGE): $(CLIENT)/node_modules/.installed $(PAGE_SOURCES)
	cd $(CLIENT) && npm run --silent bundle
	@touch $@

$(PEERS)/node_modules/.installed: $(PEERS)/package-lock.json
	cd $(PEERS) && npm ci --no-audit --no-fund
	@touch $@

peers: $(PEERS)/node_modules/.installed ## Develop: servers of Node that nobody here wrote, which some tests put a load on

page: $(PAGE) ## Develop: build the web page and the report's page into the Python packages

install: $(VENV)/.run page ## Use: .venv with both packages, and the web page

demo: install ## Use: the real thing: the server, ten thousand sockets, the report
	$(BIN)/python scripts/demo.py

serve: install ## Use: the server with its console
	$(BIN)/python -m echo_trio

# Two lanes side by side, much of which is waiting, and a spare one for what has no clock: it works
# while they wait. With a third lane of the same weight two cores were so busy that tests failed.
# What runs on two cores comes last in each, so that neither core waits at the end. The first failure
# ends all, and is shown last.
test: ## Check: every check that CI runs
	@$(MAKE) --no-print-directory -j 3 $(VENV)/.dev page peers client-check
	@$(BIN)/python scripts/lanes.py "alone browser" together --spare "lint types docs"

# The tests start our programs some hundred times: compiled once they start in half the time, also
# where the environment says that nothing be kept.
test unit together alone browser test-times: export PYTHONDONTWRITEBYTECODE :=

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/python scripts/draw_house.py --check
	$(BIN)/python scripts/check_prose.py
	$(BIN)/python scripts/scenario_reference.py --check
	$(BIN)/python scripts/settings_reference.py --check

house: $(VENV)/.dev ## Develop: draw the rooms of both packages and their arrows, into docs/explanation
	$(BIN)/python scripts/draw_house.py

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/mypy examples/*.py
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32

client-check: $(CLIENT)/node_modules/.installed
	cd $(CLIENT) && npm run --silent lint && npm run --silent test

browser: install
	cd $(CLIENT) && npm run --silent e2e

docs: $(VENV)/.dev ## Use: the documentation site, into site/; a link that leads nowhere fails it
	$(BIN)/python scripts/site.py site

unit: $(VENV)/.dev page peers ## Check: the tests in Python
	@$(BIN)/python scripts/lanes.py together alone

.PHONY: together alone
TOGETHER := -m 'not alone and not soak and not netns and not hostile and not examples'
# Most tests wait for processes to start and timeouts to pass: several side by side take a third of
# the time. Who is done takes the next, of which the longest come first.
together: $(VENV)/.dev page peers
	$(BIN)/python scripts/side_by_side.py 6-9 $(TOGETHER)

test-times: $(VENV)/.dev page peers ## Develop: the CPU time of each test in Python, the most first, also into test-times.jsonl
	$(BIN)/python scripts/side_by_side.py 2 -p scripts.cpu_times $(TOGETHER)

# One at a time: each of these fills a core, or ten thousand descriptors, by itself.
alone: $(VENV)/.dev page
	$(BIN)/python -m pytest -m 'alone and not hostile and not examples' tests/integration

mutants: $(VENV)/.dev page ## Check: put some faults into the code, one at a time: do the tests catch each? (minutes; ONLY=ledger: some of them)
	$(BIN)/python scripts/mutants.py --only '$(ONLY)'

bench: install ## Measure: side by side with the peers (long)
	$(BIN)/python benchmarks/run.py --full

bench-page: $(VENV)/.run page ## Measure: the page in a flood, then over a session (half an hour; ARGS='--minutes 3': shorter)
	$(BIN)/python benchmarks/page.py $(ARGS)

screenshots: $(VENV)/.run page ## Use: pictures of every view and state of the page, at each size and in each scheme, into SHOTS
	cd $(CLIENT) && SHOTS='$(SHOTS)' npx playwright test --project=behaviour layout faults runs
	@echo "the pictures are in $(SHOTS)"

cross-check: $(VENV)/.run ## Check: the load generator beside k6, Artillery, tsung and massconnect: do all count and measure the same? (minutes)
	$(BIN)/python benchmarks/cross_check.py

scale: $(VENV)/.run ## Measure: how cost grows from 1,000 to 1,000,000 sockets, into docs/scale.md (20 minutes)
	$(BIN)/python benchmarks/scale.py

conformance: $(VENV)/.run ## Check: Autobahn|Testsuite against both ends, all 517 cases (long; needs a Python 2.7)
	$(BIN)/python scripts/conformance.py

deploy-check: $(VENV)/.dev ## Check: instances behind a balancer, each with a network of its own (needs root and HAProxy)
	$(BIN)/python -m pytest -m netns -s tests/integration/deploy

cluster-check: $(VENV)/.dev ## Check: one plan on one process, four, and a Dask cluster, each machine with a network of its own (needs root)
	$(BIN)/python -m pytest -m netns -s tests/integration/loadgen

soak: $(VENV)/.dev fuzz ## Check: the long run, an hour (MINUTES=5: shorter): everything at once, memory watched; fuzzing
	SOAK_MINUTES=$(MINUTES) SOAK_CONNECTIONS=$$(($(MINUTES) * 5000)) STATEFUL_EXAMPLES=$$(($(MINUTES) * 50)) \
	  $(BIN)/python -m pytest -m soak -s tests/soak tests/integration/wire tests/echo_trio/wire
	SOAK_MINUTES=$(MINUTES) $(BIN)/python -m pytest tests/property tests/loadgen tests/echo_trio

$(VENV)/.fuzz: requirements/fuzz.txt $(VENV)/.dev
	$(PIP) install --require-hashes --only-binary :all: --requirement requirements/fuzz.txt \
	  || { echo "make: atheris, the fuzzer, has no wheel for this Python; one for 3.11 to 3.13: make PYTHON=python3.13" >&2; exit 1; }
	@touch $@

fuzz: $(VENV)/.fuzz ## Check: throw bytes at the handshake, the frames, settings, journals and reports, for FUZZ_SECONDS
	$(BIN)/python tests/fuzz/run.py $(FUZZ_SECONDS)

elsewhere: $(VENV)/.dev page peers ## Check: macOS played to our packages, and the integration tests with all hidden that Windows lacks (minutes)
	ELSEWHERE=darwin PYTHONPATH=$(CURDIR)/tests/elsewhere $(BIN)/python scripts/system_check.py
	PYTHONPATH=$(CURDIR)/tests/elsewhere $(BIN)/python -m pytest -p needs_linux -n 2 --dist worksteal \
	  -m 'not alone and not soak and not netns and not hostile and not examples' tests/integration

hostile: $(VENV)/.dev page ## Check: what each attack costs everybody else, beside what an honest client costs (half an hour)
	$(BIN)/python -m pytest -m hostile tests/integration/hostile

EXAMPLE_SERVERS := examples/servers/node_modules/.package-lock.json
$(EXAMPLE_SERVERS): examples/servers/package-lock.json
	cd examples/servers && npm ci --ignore-scripts --no-audit --no-fund

examples: $(VENV)/.dev $(EXAMPLE_SERVERS) ## Check: each example against the server it is for: Socket.IO, GraphQL, MQTT, JSON-RPC; the commands of the how-tos
	$(BIN)/python -m pytest -m 'examples or not examples' tests/integration/loadgen/test_examples.py tests/integration/loadgen/test_pages.py

release-check: $(VENV)/.dev page ## Check: build sdist and wheel, and try them as their users would: all of a release but the upload
	$(BIN)/python scripts/release_check.py

lock: $(VENV)/.dev ## Develop: renew the lock files from pyproject.toml
	$(PIP) install uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" --python-version 3.11 --group build pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" --python-version 3.11 --group dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" --python-version 3.11 --group pyproject.toml:fuzz -o requirements/fuzz.txt
	cd $(CLIENT) && npm install --package-lock-only --no-audit --no-fund

clean: ## Develop: remove what was installed and built
	rm -rf $(VENV) .venv-autobahn .venv-autobahn.lock $(CLIENT)/node_modules $(PEERS)/node_modules $(dir $(PAGE) $(REPORT_PAGE)) site .pytest_cache .mypy_cache .ruff_cache .hypothesis
