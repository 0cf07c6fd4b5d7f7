# `make help` lists the targets and variables.

PYTHON   ?= python3
SEEDS    ?= 0
SPLITS   ?= 0
MINUTES  ?= 60
KIND     ?= wide
PROTOCOL ?= public
CONFIG   ?= wide
OVERLAY  ?=
DATASET  ?=
DATA_DIR ?= data
RUNS_DIR ?= lightning_logs
REUSE    ?= 1
SMALL    ?=
EXTRA    ?=
EXTRA_ESTIMATOR ?=
EXTRA_WIDE ?=

# What was given is taken as it is: no $ in it is one of make, and no newline ends a line of a recipe.
AS_IT_IS := PYTHON DATASET DATA_DIR RUNS_DIR EXTRA EXTRA_ESTIMATOR EXTRA_WIDE
WORDS    := SEEDS SPLITS PROTOCOL CONFIG OVERLAY REUSE SMALL MINUTES KIND
$(foreach name,$(AS_IT_IS),$(eval override $(name) := $$(value $(name))))
$(foreach name,$(WORDS),$(eval override $(name) := $$(strip $$(value $(name)))))

# Through the environment, where no quote in them can end a word of the recipe
export $(AS_IT_IS)

# The others stand in recipes as they are, so they may be words alone
CHARACTERS := a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F G H I J K L M N O P Q R S T U V W X Y Z \
	0 1 2 3 4 5 6 7 8 9 _ . -
without = $(if $2,$(call without,$(subst $(firstword $2),,$1),$(wordlist 2,$(words $2),$2)),$1)
$(foreach name,$(WORDS),$(if $(strip $(call without,$($(name)),$(CHARACTERS))),\
	$(error $(name) is '$($(name))': give words of letters, digits, _ . and -, with spaces between)))

DATASETS := $(filter-out base overlays mine tune,$(notdir $(patsubst %/,%,$(sort $(wildcard configs/*/)))))
OVERLAYS := $(sort $(basename $(basename $(notdir $(wildcard configs/overlays/*.yaml)))))
CONFIGS  := $(filter-out estimator analysis,$(sort $(basename $(notdir \
	$(filter-out configs/overlays/% configs/tune/%,$(wildcard configs/*/*.yaml))))))

BIN   := .venv/bin
READY := .venv/.installed

STUDY = $(BIN)/spx study $1 --seeds $(SEEDS) --splits $(SPLITS) --protocol $(PROTOCOL) --config $(CONFIG) \
	$(if $(OVERLAY),--overlay $(OVERLAY)) --data_dir "$$DATA_DIR" --runs_dir "$$RUNS_DIR" \
	$(if $(filter 0 no false,$(REUSE)),--no-reuse) --extra="$$EXTRA" \
	--extra_estimator="$$EXTRA_ESTIMATOR" --extra_wide="$$EXTRA_WIDE"

.DEFAULT_GOAL := help
BENCHMARKS := sampling attention estimator training features growth batches compile distributed sharding check gpu memory correction explanations startup ablation lazy epoch

.PHONY: help demo ddp-demo mine test test-all lint format tensorboard results clean pictures bench $(DATASETS) $(BENCHMARKS:%=bench-%) \
	analyze-mine $(DATASETS:%=analyze-%) tune-mine $(DATASETS:%=tune-%)

help:  ## This list
	@echo 'Targets:'
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1|\2/' | \
		awk -F'|' '{printf "%-15s %s\n", $$1, $$2}'
	@echo
	@echo 'Datasets, a target each: both stages and the test, over seeds and splits:'
	@printf '  %s\n' $(DATASETS)
	@echo
	@echo 'Each dataset has a second target: what its networks attend to, as a report; EXTRA="--runs small": in two minutes:'
	@echo '$(DATASETS:%=analyze-%)' | fold -s -w 100 | sed 's/^/  /; s/ *$$//'
	@echo
	@echo 'And a third: looks for settings by validation alone, for MINUTES; CONFIG=tuned trains what it chose:'
	@echo '$(DATASETS:%=tune-%)' | fold -s -w 100 | sed 's/^/  /; s/ *$$//'
	@echo
	@echo 'Benchmarks, one at a time:'
	@echo '$(BENCHMARKS:%=bench-%)' | fold -s -w 100 | sed 's/^/  /; s/ *$$//'
	@echo
	@echo 'Variables, with their values at present:'
	@printf '  %-16s %-18s %s\n' \
		SEEDS '$(SEEDS)' 'seeds, such as SEEDS="0 1 2"' \
		SPLITS '$(SPLITS)' 'splits, such as SPLITS="0 1"; each is run with each seed' \
		PROTOCOL '$(PROTOCOL)' 'how nodes are split: public or paper (docs/datasets.md)' \
		CONFIG '$(CONFIG)' 'what is trained: $(CONFIGS)' \
		OVERLAY '$(OVERLAY)' 'changes to it: $(OVERLAYS)' \
		DATASET "$$DATASET" 'path of your own graph, for make mine' \
		MINUTES '$(MINUTES)' 'of a search: make tune-NAME' \
		KIND '$(KIND)' 'what a search is over: a file of configs/tune' \
		EXTRA "$$EXTRA" 'further arguments of spx fit (analyze-NAME: of spx analyze): EXTRA="--trainer.max_epochs 20"' \
		EXTRA_ESTIMATOR "$$EXTRA_ESTIMATOR" 'the same for stage 1 alone' \
		EXTRA_WIDE "$$EXTRA_WIDE" 'the same for stage 2 alone' \
		DATA_DIR "$$DATA_DIR" 'raw files and downloads' \
		RUNS_DIR "$$RUNS_DIR" 'runs, checkpoints, TensorBoard files, summaries' \
		REUSE '$(REUSE)' '0: run again what was run before with the same settings' \
		SMALL '$(SMALL)' '1: benchmarks of less than a minute: bench-sampling, bench-attention, ...' \
		PYTHON "$$PYTHON" 'makes .venv; 3.11 or newer'

demo: minesweeper-sim  ## Both stages on a generated graph, without a download: a few minutes

ddp-demo: $(READY)  ## The same with one CPU process and with two, compared (docs/distributed.md)
	@$(BIN)/python -m benchmarks.ddp_demo

$(DATASETS): $(READY)
	@$(call STUDY,$@)

mine: $(READY)  ## A graph of your own, DATASET=path: check it, run both stages, predict every node (docs/own-data.md)
	@test -n "$$DATASET" || { echo 'make mine needs the path of your graph: make mine DATASET=path'; exit 2; }
	@$(BIN)/spx check "$$DATASET"
	@$(call STUDY,"$$DATASET") --predictions

ANALYZE = $(BIN)/spx analyze $1 --protocol $(PROTOCOL) --split $(firstword $(SPLITS)) --data_dir "$$DATA_DIR" \
	--runs_dir "$$RUNS_DIR" $(if $(filter 0 no false,$(REUSE)),--reuse false) $$EXTRA

$(DATASETS:%=analyze-%): analyze-%: $(READY)
	@set -f; $(call ANALYZE,--config configs/base/analysis.yaml $(if $(wildcard configs/$*/analysis.yaml),\
		--config configs/$*/analysis.yaml,--dataset $*))

analyze-mine: $(READY)  ## What the networks of your own graph attend to, DATASET=path, as a report
	@test -n "$$DATASET" || { echo 'make analyze-mine needs the path of your graph: DATASET=path'; exit 2; }
	@set -f; $(call ANALYZE,--dataset "$$DATASET")

TUNE = $(BIN)/spx tune $1 --minutes $(MINUTES) --kind $(KIND) --protocol $(PROTOCOL) --split $(firstword $(SPLITS)) \
	--seed $(firstword $(SEEDS)) --data_dir "$$DATA_DIR" --runs_dir "$$RUNS_DIR" $$EXTRA

$(DATASETS:%=tune-%): tune-%: $(READY)
	@set -f; $(call TUNE,$*)

tune-mine: $(READY)  ## Look for the settings of your own graph by validation, DATASET=path MINUTES=60: CONFIG=tuned then
	@test -n "$$DATASET" || { echo 'make tune-mine needs the path of your graph: DATASET=path'; exit 2; }
	@set -f; $(call TUNE,"$$DATASET")

# A file's tests stay together, for what they share is made once a process; the longest files are the first by name.
# Threads in each of several processes would only wait for one another. What pytest makes of the tests' files is kept,
# also where the shell says not to: making it anew takes each process some seconds.
PYTEST = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test: lint  ## Lint, then the tests of every day: at most three minutes on two cores
	@$(PYTEST) -m 'not full'

test-all: lint  ## Lint, then all tests, also those marked full: at most eight minutes
	@$(PYTEST)

lint: $(READY)  ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(READY)  ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

tensorboard: $(READY)  ## Look at all runs in the browser
	@$(BIN)/tensorboard --logdir "$$RUNS_DIR"

results: $(READY)  ## Rewrite the tables of docs/results.md from finished studies
	@$(BIN)/spx results --runs_dir "$$RUNS_DIR"

bench: $(patsubst %,bench-%,$(filter-out ablation,$(BENCHMARKS))) pictures  ## Benchmarks, an hour (bench-ablation: hours more); bench-NAME: one; SMALL=1: under a minute each

$(BENCHMARKS:%=bench-%): bench-%: $(READY)
	@$(BIN)/python -m benchmarks.$* $(if $(SMALL),--small)

pictures: $(READY)  ## Draw the pictures of docs/performance.md from benchmarks/results
	@$(BIN)/python -m benchmarks.pictures

clean:  ## Remove .venv and caches; runs and data stay
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis *.egg-info
	find spx tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@echo 'Installing into .venv (once; torch is large, this takes minutes) ...'
	@$$PYTHON -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@$$PYTHON -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,tune]'
	@touch $@
	@echo 'Installed.'
