# Everything runs in .venv, which the targets make for themselves: Python 3.11, pip and make are
# enough to start from. `make PYTHON=/path/to/python3.11` chooses the interpreter.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Where PyTorch publishes its CPU builds, ten times smaller than the default ones on Linux. Where it
# cannot be reached, pip says so and takes what its own index has.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PINS := requirements/constraints.txt
READY := $(VENV)/.ready

.PHONY: help demo test thorough check docs gallery bench anomaly breaks clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo    trace a failing diffusers pipeline and draw it'
	@echo 'make test    run every test'
	@echo 'make thorough  more random programs, and every program in every mode: an hour'
	@echo 'make check   formatting, lint, types, import contracts, sizes, README'
	@echo 'make bench   what tracing costs, in one interleaved run'
	@echo 'make anomaly which lines anomaly mode names, and which gradprobe does'
	@echo 'make breaks  put breaks into healthy samplers, and count the lines that are named'
	@echo 'make docs    write again the pages and pictures made by gradprobe itself'
	@echo 'make gallery draw the real breaks of docs/gallery again'
	@echo 'make clean   remove what the targets made, the environment included'

# torch comes first and alone: another package that asks for it would choose its own build.
$(VENV)/.torch: $(PINS)
	@echo 'setting up $(VENV) (a few minutes, once)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --no-deps --retries 1 --extra-index-url '$(TORCH_INDEX)' \
	  "$$(grep '^torch==' $(PINS))"
	@touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(PIP) --quiet install --constraint $(PINS) --editable '.[demo]'
	@touch $@

$(READY): $(VENV)/.demo requirements/samplers.txt requirements/viewers.txt
	$(PIP) --quiet install --constraint $(PINS) --editable '.[dev,integrations,samplers]'
	$(PIP) --quiet install --no-deps --requirement requirements/samplers.txt \
	  --requirement requirements/viewers.txt
	@touch $@

# The demo traces a program that loses its gradient, so exit code 1 is the right answer.
demo: $(VENV)/.demo
	@mkdir -p out
	@$(BIN)/gradprobe trace -o out/demo.svg -o out/demo.json examples/demo/failing_pipeline.py; \
	code=$$?; \
	if [ $$code -ne 1 ]; then \
	  echo "make demo: gradprobe exited with $$code; a lost gradient should give 1" >&2; exit 1; \
	fi; \
	echo 'make demo: exit code 1, as it should be: the gradient was lost. Open out/demo.svg'

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

thorough: $(READY)
	GRADPROBE_THOROUGH=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest --quiet tests/test_package.py tests/test_docs.py

bench: $(READY)
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.watching

anomaly: $(READY)
	$(BIN)/python -m benchmarks.anomaly --save

breaks: $(READY)
	$(BIN)/python -m benchmarks.breaks --save --workers $(WORKERS)

docs: $(VENV)/.demo
	$(BIN)/python docs/make_pages.py

gallery: $(READY)
	$(BIN)/python docs/make_gallery.py

clean:
	rm -rf $(VENV) out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
