# The commands of the course. `make` alone lists them.
# They need Python 3.11 or later, make and a package index; nothing else.

PYTHON ?= $(shell command -v python3 || command -v python)

ifeq ($(OS),Windows_NT)
  BIN := .venv/Scripts
else
  BIN := .venv/bin
endif
RUN := $(BIN)/python
READY := .venv/.ready

# A Quarto installed by `make quarto` lies in .venv and is found first.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONUTF8 := 1

LECTURES := $(sort $(wildcard lectures/*.qmd))
NOTEBOOKS := notebooks exercises/solutions

.PHONY: help setup slides test notebooks lab train data bench quarto clean

help:
	@echo "make slides   render every lecture to _site/"
	@echo "make test     run every test"
	@echo "make notebooks  write every lecture and exercise as a notebook"
	@echo "make lab      open the exercises in JupyterLab"
	@echo "make train    refit every model in cache/"
	@echo "make data     rebuild the simulated handwriting; CASIA=<folder> OUT=<folder> imports real scans"
	@echo "make bench    run the benchmarks and print their tables"
	@echo "make quarto   install Quarto into .venv, where its download can be reached"
	@echo "make clean    remove what the commands made, but not .venv"

setup: $(READY)

$(READY): requirements.txt pyproject.toml
	@"$(PYTHON)" -c "import sys; v = sys.version_info; sys.exit(v < (3, 11) and f'This course needs Python 3.11 or later, but {sys.executable} is {v.major}.{v.minor}. Install a newer one, or name it: make PYTHON=<path> $(MAKECMDGOALS)')"
	@echo "Setting up .venv (once; a few minutes, about 2 GB) ..."
	@"$(PYTHON)" -m venv .venv
	@"$(RUN)" -m pip install --quiet --disable-pip-version-check -r requirements.txt -e .
	@"$(RUN)" -c "import pathlib; pathlib.Path('$(READY)').touch()"

slides: $(READY)
	@"$(RUN)" -m render

test: $(READY)
	@"$(RUN)" -m pytest
	@"$(RUN)" -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=900 $(NOTEBOOKS)

notebooks: $(READY)
	@"$(RUN)" -m render notebooks notebooks
	@"$(RUN)" -m render exercises

lab: $(READY)
	@"$(RUN)" -m jupyterlab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/exercises

train: $(READY)
	@COURSE_REFIT=1 "$(RUN)" -m render run $(LECTURES)

ifdef CASIA
data: $(READY)
	@"$(RUN)" -m course.casia "$(CASIA)" --out "$(or $(OUT),data/casia)"
else
data: $(READY)
	@"$(RUN)" -m course.handwriting.archive
endif

bench: $(READY)
	@for benchmark in benchmarks/[a-z]*.py; do echo; echo "== $$benchmark"; "$(RUN)" "$$benchmark" || exit 1; done

quarto: $(READY)
	@"$(RUN)" -m pip install --quiet --disable-pip-version-check -r requirements-quarto.txt \
	  || { echo "Quarto could not be downloaded from here. Nothing is lost: 'make slides' renders without it."; exit 1; }
	@"$(BIN)/quarto" --version

clean:
	@"$(PYTHON)" -c "import shutil; [shutil.rmtree(p, ignore_errors=True) for p in ('_site', '_build', '.render-cache', '.quarto')]"
