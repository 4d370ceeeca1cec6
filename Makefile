# Two commands to begin with: `make run` and `make test`. Each sets up its own environment first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test pdf report zip prove notebook app enrich bench pretrain tables format clean help

run: .venv/installed  ## Train, save, reload and query: executes the notebook
	@$(BIN)/python -m clip_lib run

test: .venv/installed-dev  ## Lint, then the tests (no network, no real data)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2

pdf: .venv/installed  ## The executed notebook as a PDF
	@$(BIN)/python -m clip_lib pdf

report: .venv/installed  ## Write the report's figures from models/, compile it with LaTeX
	@$(BIN)/python -m clip_lib report

# REPORT, if given, is the report's PDF, compiled elsewhere; WAIVE, rules that may be broken.
SUBMIT = submit $(if $(REPORT),--report "$(REPORT)") $(foreach rule,$(WAIVE),--waive $(rule))
zip: .venv/installed  ## Everything to hand in, checked: <group>.zip
	@$(BIN)/python -m clip_lib $(SUBMIT) --early
	@test -f "$${CLIP_MODEL_DIR:-models}/1_ProjetClip.ipynb" || $(BIN)/python -m clip_lib run
	@$(BIN)/python -m clip_lib pdf
	@$(if $(REPORT),,$(BIN)/python -m clip_lib report)
	@$(BIN)/python -m clip_lib $(SUBMIT)

prove: .venv/installed  ## A trial team's archive, unpacked and run in a fresh environment
	@PYTHON="$(PYTHON)" tests/fresh_archive.sh

notebook: .venv/installed  ## Open the notebook in Jupyter
	$(BIN)/jupyter lab 1_ProjetClip.ipynb

app: .venv/installed-app  ## Open the search page; if nothing is trained, the pretrained weights answer
	@$(BIN)/python -m clip_lib app --open

# ARGS: see python -m clip_lib enrich --help.
enrich: .venv/installed-enrich  ## Longer captions: make enrich ARGS="--url URL --model NAME"
	@$(BIN)/python -m clip_lib enrich $(ARGS)

# DATA is the folder of photographs; CAPTIONS, if given, a table with more of them; OTHERS, if given,
# the folder of the pretraining, whose test part is searched too; BERT, if given, the folder of a text encoder (MiniLM); JOBS, how many trainings run at a time. By estimate four hours on two cores, half of them the ablation's.
JOBS ?= 1
bench: .venv/installed-dev  ## Measure everything anew (hours): make bench DATA=FOLDER [JOBS=N]
	@test -n "$(DATA)" || { echo "bench: name the photographs: make bench DATA=FOLDER" >&2; exit 2; }
	$(BIN)/python benchmarks/pipeline.py --data "$(DATA)" --name folds --folds 5 --seeds 42 --jobs $(JOBS)
	$(if $(BERT),$(BIN)/python benchmarks/pipeline.py --data "$(DATA)" --name minilm --text-encoder "$(BERT)" --seeds 42 --train-seeds 42 43 44 --jobs $(JOBS))
	$(BIN)/python benchmarks/pipeline.py --data "$(DATA)" --name untouched --seeds 42 --train-seeds 42 43 44 --jobs $(JOBS)
	$(if $(CAPTIONS),$(BIN)/python benchmarks/pipeline.py --data "$(DATA)" --name five --folds 5 --seeds 42 --captions "$(CAPTIONS)" --jobs $(JOBS))
	$(BIN)/python benchmarks/pipeline.py --data "$(DATA)" --name tuned --preset fine-tuning --folds 5 --seeds 42 $(if $(OTHERS),--others "$(OTHERS)") --jobs $(JOBS)
	$(if $(CAPTIONS),$(BIN)/python benchmarks/queries.py --data "$(DATA)" --captions "$(CAPTIONS)" $(if $(OTHERS),--gallery "$(OTHERS)") --jobs $(JOBS))
	$(if $(CAPTIONS),$(if $(OTHERS),$(BIN)/python benchmarks/exclusion.py --data "$(DATA)" --captions "$(CAPTIONS)" --gallery "$(OTHERS)"))
	$(BIN)/python benchmarks/handed_out.py --data "$(DATA)" --name folds --folds 5 --seeds 42 --jobs $(JOBS)
	$(BIN)/python benchmarks/ablation.py --data "$(DATA)" --jobs $(JOBS)
	$(BIN)/python benchmarks/cleaning.py --data "$(DATA)" --jobs $(JOBS)
	$(BIN)/python benchmarks/speed.py --data "$(DATA)"
	$(BIN)/python benchmarks/startup.py --data "$(DATA)"
	$(BIN)/python benchmarks/cost.py --data "$(DATA)"
	$(BIN)/python benchmarks/page.py --data "$(DATA)"
	$(BIN)/python benchmarks/folder.py --data "$(DATA)"
	$(BIN)/python benchmarks/failures.py --data "$(DATA)"
	$(BIN)/python benchmarks/tables.py

# DATA is a folder of thousands of captioned pictures; labels are not needed.
pretrain: .venv/installed-dev  ## Make the pretrained weights anew: make pretrain DATA=FOLDER
	@test -n "$(DATA)" || { echo "pretrain: name the photographs: make pretrain DATA=FOLDER" >&2; exit 2; }
	$(BIN)/python benchmarks/pretraining.py --data "$(DATA)"
	$(BIN)/python benchmarks/tables.py

tables: .venv/installed-dev  ## Put the measured numbers into the pages
	$(BIN)/python benchmarks/tables.py

format: .venv/installed-dev  ## Format the code, the notebook included
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the environments, the drawn scenes and the trained models
	rm -rf .venv data/scenes report/generated report/*.pdf [0-9]*.zip [0-9]*.zip.old
	find models -type f ! -name README.md ! -path "models/pretrained/*" -delete
	find models -mindepth 1 -type d -empty -delete

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

# Debian's python3 has no ensurepip to put pip inside: its own pip does, from outside.
PIP := $(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python install -q --progress-bar on
.venv/installed: requirements.txt requirements-library.txt
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else 'Python %d.%d: TensorFlow 2.21 and Keras 3.15 need Python 3.11, 3.12 or 3.13; name one with: make PYTHON=python3.12 ...' % v)"
	$(PYTHON) -m venv --clear --without-pip .venv
	$(PIP) pip -r requirements.txt
	@touch $@

.venv/installed-app: requirements-app.txt .venv/installed
	$(PIP) -r requirements-app.txt
	@touch $@

.venv/installed-enrich: requirements-enrich.txt .venv/installed
	$(PIP) -r requirements-enrich.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt requirements-app.txt requirements-enrich.txt requirements-distilbert.txt .venv/installed
	$(PIP) -r requirements-dev.txt
	@touch $@
