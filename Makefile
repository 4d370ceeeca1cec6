# Two commands: `make run` and `make test`. Each sets up its own environment first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test notebook format clean help

run: .venv/installed  ## Train, save, reload and query: executes the notebook
	@$(BIN)/python -m clip_lib run

test: .venv/installed  ## Lint, then the tests (no network, no real data)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

notebook: .venv/installed  ## Open the notebook in Jupyter
	$(BIN)/jupyter lab 1_ProjetClip.ipynb

format: .venv/installed  ## Format the code, the notebook included
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the environment, the drawn scenes and the trained models
	rm -rf .venv data/scenes
	find models -type f ! -name README.md -delete

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

# pip installs from outside: Debian's python3 has no ensurepip to put one inside.
.venv/installed: requirements.txt
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else 'Python %d.%d: TensorFlow 2.21 and Keras 3.15 need Python 3.11, 3.12 or 3.13; name one with: make PYTHON=python3.12 ...' % v)"
	$(PYTHON) -m venv --clear --without-pip .venv
	$(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python install -q --progress-bar on -r requirements.txt
	@touch $@
