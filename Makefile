# Quillflow's verbs. `make help` lists them; `make run` and `make check` are all that a newcomer needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS ?= runs
SEED ?= 1
LINES ?=
ARRIVING ?=
BUDGET ?=
HOST ?=
SERVER ?= http://127.0.0.1:8080
QUEUE ?=
MINUTES ?= 18
SIZES ?= 10000 100000
IMAGES ?=
COVER ?=

# uv reads its own variables, pip's are already set where a site has its own wheels: make both agree.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_LINK_MODE ?= copy
# Every step is a process of its own: compiled once here, imports take half the time.
export UV_COMPILE_BYTECODE ?= 1
# Nothing that runs here phones home.
export MLFLOW_DISABLE_TELEMETRY := true
export GX_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
export GIT_PYTHON_REFRESH := quiet
# Models are never unpickled.
export MLFLOW_ALLOW_PICKLE_DESERIALIZATION := false

.DEFAULT_GOAL := help
.PHONY: help setup run check test lint format up web ui serve drift drift-demo trust bench bench-scale fuzz licences images test-images lock-images compile submit schedule doctor wheel lock clean

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

$(VENV)/.ready: pyproject.toml requirements.lock
	@rm -f $@
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (2 GB; about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]' --constraint requirements.lock
	@touch $@

setup: $(VENV)/.ready ## Make .venv with every locked version

run: setup ## The whole loop on one machine; LINES=<lines dataset> runs it on your own; BUDGET=<lines shown>
	@$(BIN)/python -m pipelines loop --runs "$(RUNS)" --seed $(SEED) $(if $(LINES),--lines "$(LINES)") $(if $(ARRIVING),--arriving "$(ARRIVING)") $(if $(BUDGET),--budget $(BUDGET)) $(ARGS)

up: setup ## MLflow's pages and the model server on the newest run's champion; Ctrl-C stops both
	@$(BIN)/python -m pipelines up --run "$(RUNS)/latest" $(ARGS)

web: setup ## The page in a browser, before the server at SERVER=<URL>; QUEUE=<folder> has lines to be looked at
	@$(BIN)/python -m serving.web --server "$(SERVER)" $(if $(QUEUE),--queue "$(QUEUE)") $(ARGS)

check: lint test ## Everything that must pass: style, types, who imports whom, tests

lint: setup ## Style, types, who imports whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: setup ## All tests; COVER=1 measures the coverage of the unit tests, and takes some minutes more
	@sh tests/debian-packages.sh
	@$(if $(COVER),$(BIN)/coverage erase)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(if $(COVER),--cov --cov-report=term) $(TESTS)

format: setup ## Rewrite the code in the project's style
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

compile: setup ## Write the pipeline as YAML for Kubeflow: build/pipeline.yaml
	@$(BIN)/python -m pipelines compile --out build/pipeline.yaml

submit: setup ## Start the pipeline on Kubeflow: make submit HOST=http://... ARGS='-p lines=...'
	@test -n "$(HOST)" || { echo "error: give the address of the KFP API: make submit HOST=http://localhost:8888 ARGS='-p lines=...'"; exit 2; }
	@$(BIN)/python -m pipelines submit --host $(HOST) $(ARGS)

schedule: setup ## Have it run again and again: make schedule HOST=http://... ARGS='-p lines=... --cron "30 3 * * 1"'
	@test -n "$(HOST)" || { echo "error: give the address of the KFP API: make schedule HOST=http://localhost:8888 ARGS=..."; exit 2; }
	@$(BIN)/python -m pipelines schedule --host $(HOST) $(ARGS)

doctor: setup ## Check everything that the pipeline depends on, from here, and say what to do
	@$(BIN)/python -m pipelines doctor $(if $(HOST),--host $(HOST)) $(ARGS)

drift: setup ## Check the newest run's prediction log for drift once more
	@$(BIN)/python -m monitoring check --bundle "$(RUNS)/latest/champion" --log "$(RUNS)/latest/prediction-log" --out "$(RUNS)/latest/drift-now"

trust: setup ## Faults, attacks, promises: kills by the hundred, hostile input, a short soak (half an hour): build/trust.json
	@sh tests/debian-packages.sh
	@$(BIN)/python -m tests.trust --seed $(SEED) $(ARGS)

drift-demo: setup ## The closed loop on real handwriting: a hand arrives, is noticed, learnt once, read better; LINES=<lines dataset>
	@$(BIN)/python -m benchmarks.closed_loop $(if $(LINES),"$(LINES)") $(ARGS)

bench: setup ## Peers and ours on the same lines, split and time: make bench LINES=<lines dataset> MINUTES=18
	@$(BIN)/python -m benchmarks.peers --minutes $(MINUTES) $(if $(LINES),--lines "$(LINES)") $(ARGS)

licences: setup ## Every dependency and its licence: build/licences.csv
	@mkdir -p build
	@$(BIN)/python -m tests.trust.licences > build/licences.csv
	@echo "wrote build/licences.csv"

bench-scale: setup ## How import and audit grow: make bench-scale SIZES='10000 100000 1000000' (6 kB of disk a line)
	@$(BIN)/python -m benchmarks.scale --sizes $(SIZES) --work build/scale --out build/scale/result $(ARGS)

fuzz: setup ## Break files for a while, and see what breaks: make fuzz MINUTES=30 ARGS='--targets image csv'
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(ARGS)

wheel: setup ## Build the wheel: dist/
	@$(BIN)/python -m build --installer uv --wheel --outdir dist

images: setup ## Build the container images, tagged with the commit; lists of what is in them: build/sbom; IMAGES='serving web'
	@$(BIN)/python -m k8s.images build $(IMAGES) $(ARGS)

test-images: setup ## Build every image on a Debian of its own, and run the whole DAG in containers (root; 16 GB; minutes)
	@sh tests/debian-packages.sh
	@QUILLFLOW_TEST_ALL_IMAGES=1 $(BIN)/python -m pytest tests/images

lock-images: setup ## Write the images' lists of packages anew, with hashes: k8s/images/locks
	@$(BIN)/python -m k8s.images lock

lock: setup ## Resolve every version anew: requirements.lock
	@env -u UV_FIND_LINKS -u PIP_FIND_LINKS $(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade --no-header --no-annotate --quiet --output-file requirements.lock
	@sed -i '/^quillflow/d' requirements.lock

clean: ## Remove what can be made again, runs excepted
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
