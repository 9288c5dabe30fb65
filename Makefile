# charlm: `make demo` shows it at work, `make test` runs every test. Each sets up all that it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CATS := corpora/cats/cats.txt
MODEL := checkpoints/cats.safetensors

.PHONY: demo test check torture clean bench bench-long

$(VENV)/ready: setup.cfg constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(CATS): corpora/cats/generate.py
	$(PYTHON) corpora/cats/generate.py --size 1000000 --seed 1 -o $@

# make shows each command before what it prints; `charlm` is the one in .venv.
demo: export PATH := $(CURDIR)/$(BIN):$(PATH)
demo: $(VENV)/ready $(CATS)
	@printf '\nLearn the language of the cats in one minute.\n\n'
	charlm train $(CATS) --minutes 1 -o $(MODEL) --force
	@printf '\nWrite: cautiously, as the cats do, wildly.\n\n'
	charlm sample $(MODEL) --temperature 0.5 --length 300 --seed 1
	@echo
	charlm sample $(MODEL) --temperature 1.0 --length 300 --seed 1
	@echo
	charlm sample $(MODEL) --temperature 1.5 --length 300 --seed 1
	@printf '\nPear or pair? Which is likelier, and by how much?\n\n'
	charlm score $(MODEL) "The apple and pear salad was fresh." "The apple and pair salad was fresh."
	@printf '\nMeasure it on text that it has not seen, and see the least that is possible.\n\n'
	python corpora/cats/generate.py --seed 2 --size 50000 | charlm eval $(MODEL) -
	@echo
	python corpora/cats/generate.py --entropy
	@printf '\nNow try it yourself:\n\n'
	@printf '  . .venv/bin/activate\n  charlm sample $(MODEL) --prompt "The cats, which "\n\n'

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(VENV)/ready
	$(BIN)/python -m pytest

# Two hours on two cores; `make torture SHARE=0.02` makes 2 % of the trials.
torture: $(VENV)/ready
	-$(BIN)/pip install --quiet --disable-pip-version-check atheris==3.0.0  # guides the fuzzing
	$(BIN)/python -m tests.torture --share $(or $(SHARE),1)

# At most 30 minutes; the tables go into benchmarks/results/ and, whole, to the terminal.
bench: $(VENV)/ready
	$(BIN)/python -m benchmarks

# Ten hours on two cores, most of them for the grid of defaults, which goes on where it was stopped
# (`python -m benchmarks.defaults --help`).
bench-long: $(VENV)/ready
	$(BIN)/python -m benchmarks --long

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
