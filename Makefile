# One command per wish; `make` alone lists them.
#
#   STACK=openmmlab    the official releases instead of the onedl forks
#   VENV=PATH          another place for the environment
#   PYTHON=python3.12  the Python that it is made with (3.10 to 3.12)

STACK ?= onedl
DOCS_VENV ?= .venv-docs
VENV ?= $(if $(filter onedl,$(STACK)),.venv,.venv-$(STACK))
PYTHON ?=
JOBS ?= 2

# Tests and demo take mmghost from this clone, also where clones share an environment.
RUN = PYTHONPATH='$(CURDIR)'"$${PYTHONPATH:+:$$PYTHONPATH}" '$(VENV)/bin/python'
PYTEST = $(RUN) -m pytest -n $(JOBS)

.DEFAULT_GOAL := help
.PHONY: help env demo test tests test-all test-docs docs bench lint format clean

help:  ## List what there is
	@echo 'make env       build $(VENV) with the tested versions of everything'
	@echo 'make demo      env, then train a small GhostNetV2 detector and show it'
	@echo 'make test      env, then the tests but the slow ones'
	@echo 'make test-all  env, then all tests'
	@echo 'make docs      the site of docs/, in build/docs; needs no env'
	@echo 'make test-docs env, then run every code block of README and docs'
	@echo 'make bench     env, then time the networks and write docs/benchmark.md'
	@echo 'make lint      check style and format of the code'
	@echo 'make format    mend what can be mended'
	@echo 'make clean     remove builds and caches, not the environment'
	@echo
	@echo 'STACK=openmmlab  the official OpenMMLab releases, in an environment of its own'
	@echo 'VENV=PATH        the environment elsewhere; PYTHON=python3.12 made with another Python'

env:
	@boot='$(or $(PYTHON),python3)'; command -v "$$boot" >/dev/null || { \
	  echo "make env: there is no command '$$boot'." \
	       "Install Python 3.10, 3.11 or 3.12, or name one: make env PYTHON=python3.12" >&2; \
	  exit 1; }; \
	"$$boot" requirements/build_env.py --venv '$(VENV)' --stack '$(STACK)' \
	  $(if $(PYTHON),--python '$(PYTHON)')

demo: env
	$(RUN) tools/demo.py

test: env
	$(PYTEST) -m 'not slow'

# Without this make would find the folder, do nothing and call it done.
tests: test

test-all: env
	$(PYTEST)

test-docs: env
	$(PYTEST) tests/docs
	@$(RUN) -m tests.docs.pages

docs: $(DOCS_VENV)/made
	'$(DOCS_VENV)/bin/python' -m sphinx -W --keep-going -q docs build/docs
	@echo 'The site is build/docs/index.html'

# The sources are read, not imported: the site needs no torch.
$(DOCS_VENV)/made: requirements/docs.txt
	'$(or $(PYTHON),python3)' -m venv --clear '$(DOCS_VENV)'
	'$(DOCS_VENV)/bin/python' -m pip install -q -r requirements/docs.txt
	touch '$@'

bench: env
	$(RUN) tools/analysis_tools/benchmark.py --suite all --json bench.json --page docs/benchmark.md
	@! $(RUN) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || \
	  $(RUN) tools/analysis_tools/benchmark.py --suite all --device cuda \
	    --json bench_gpu.json --page docs/benchmark_gpu.md

lint: env
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

format: env
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
