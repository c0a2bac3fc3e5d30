# `make` alone lists the commands. Settings:
#
#   STACK=openmmlab    OpenMMLab's own releases instead of the onedl forks
#   VENV=PATH          another place for the environment
#   PYTHON=python3.12  the Python that it is made with
#   JOBS=4             tests that run side by side

STACK ?= onedl
VENV ?= $(if $(filter onedl,$(STACK)),.venv,.venv-$(STACK))
DOCS_VENV ?= .venv-docs
PYTHON ?= python3 python3.11 python3.12 python3.10
JOBS ?= 2

# Pythons that the pinned versions have wheels for.
PYTHONS_onedl = 3.10 3.11 3.12
PYTHONS_openmmlab = 3.10 3.11
PYTHONS := $(or $(PYTHONS_$(STACK)),$(error unknown STACK=$(STACK); use onedl or openmmlab))
EXTRAS := $(STACK),datasets,deploy,eval,notebook,tests,visualization,weights

# Each stamp is written last, so that an interrupted build has none. The name of the
# first changes with all that decides what is installed, the second with the clone.
hash = $(shell { $(1); } | sha256sum | cut -c1-12)
STAMP := $(VENV)/mmghost-pins-$(call hash,cat requirements/$(STACK).txt setup.py; echo $(EXTRAS))
CLONE := $(VENV)/mmghost-clone-$(call hash,cat mmghost/version.py; echo '$(CURDIR)')

# Tests and demo take mmghost from this clone, also where clones share an environment.
RUN = PYTHONPATH='$(CURDIR)'"$${PYTHONPATH:+:$$PYTHONPATH}" '$(VENV)/bin/python'
PYTEST = $(RUN) -m pytest -n $(JOBS)
PIP = '$(VENV)/bin/python' -m pip install --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help env demo test tests test-all test-docs docs bench lint format clean

help:  ## List the commands
	@echo 'make env       build $(VENV) with the tested versions of everything'
	@echo 'make demo      env, then train a small GhostNetV2 detector and show it'
	@echo 'make test      env, then all tests but the slow ones'
	@echo 'make test-all  env, then all tests'
	@echo 'make test-docs env, then run every code block of README and docs'
	@echo 'make docs      build the site of docs/ in build/docs; needs no env'
	@echo 'make bench     env, then time the networks and write docs/benchmark.md'
	@echo 'make lint      check style, format and imports of the code'
	@echo 'make format    fix what can be fixed'
	@echo 'make clean     remove builds and caches, not the environment'
	@echo
	@echo 'STACK=openmmlab  the official OpenMMLab releases, in an environment of its own'
	@echo 'VENV=PATH        the environment elsewhere; PYTHON=python3.12 made with that Python'

# The lock lets only one build at a time touch the environment.
env:
	@mkdir -p '$(dir $(VENV))'
	@flock '$(VENV).lock' $(MAKE) --silent '$(CLONE)'
	@echo 'make env: $(VENV) is ready'

# A finished environment of other pins is updated in place, an unfinished one is built
# anew, and a folder that this rule did not make is left alone.
$(STAMP):
	@if [ -n "$$(ls -A '$(VENV)' 2>/dev/null)" ] \
	    && [ "$$(cat '$(VENV)/mmghost-stack' 2>/dev/null)" != '$(STACK)' ]; then \
	  echo 'make env: $(VENV) holds something other than the stack $(STACK);' \
	    'remove it, or choose another folder with VENV=PATH' >&2; exit 1; \
	fi
	@if ls '$(VENV)'/mmghost-pins-* >/dev/null 2>&1; then \
	  mv '$(VENV)'/mmghost-pins-* '$(VENV)/mmghost-outdated'; \
	fi
	@[ -e '$(VENV)/mmghost-outdated' ] || { \
	  for python in $(PYTHON) none; do \
	    "$$python" -c 'import ensurepip, sys; version = "%d.%d" % sys.version_info[:2]; \
	      sys.exit(version not in "$(PYTHONS)".split())' 2>/dev/null && break; \
	  done; \
	  if [ "$$python" = none ]; then \
	    echo 'make env: the stack $(STACK) needs one of Python $(PYTHONS), with venv' \
	      '(on Debian and Ubuntu the package python3-venv), and found none in:' \
	      '$(PYTHON). Name one with PYTHON=PATH' >&2; exit 1; \
	  fi; \
	  echo 'make env: downloading up to 4 GB; this takes some minutes'; \
	  mkdir -p '$(VENV)' && echo '$(STACK)' >'$(VENV)/mmghost-stack' \
	  && find '$(VENV)/' -mindepth 1 -not -name mmghost-stack -delete \
	  && "$$python" -m venv '$(VENV)'; }
	$(PIP) -c requirements/$(STACK).txt pip setuptools wheel
	$(PIP) -c requirements/$(STACK).txt -e '.[$(EXTRAS)]'
# mmcv asks for opencv-python, which needs libGL. Both write cv2; the last one counts.
	$(PIP) -c requirements/$(STACK).txt --force-reinstall --no-deps opencv-python-headless
	'$(VENV)/bin/python' -c 'import torchvision, cv2, mmcv, mmdet, mmseg, mmpretrain, timm'
	@rm -f '$(VENV)/mmghost-outdated' '$(VENV)'/mmghost-clone-*
	@touch '$@' '$(CLONE)'

$(CLONE): $(STAMP)
	@rm -f '$(VENV)'/mmghost-clone-*
	$(PIP) --quiet --no-deps --no-build-isolation -e .
	@touch '$@'

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

docs: $(DOCS_VENV)/made
	'$(DOCS_VENV)/bin/python' -m sphinx -W --keep-going -q docs build/docs
	@echo 'The site is build/docs/index.html'

# The sources are read, not imported: the site needs no torch.
$(DOCS_VENV)/made: requirements/docs.txt
	$(firstword $(PYTHON)) -m venv --clear '$(DOCS_VENV)'
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
	PYTHONPATH='$(CURDIR)' '$(VENV)/bin/lint-imports' --no-cache

format: env
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
