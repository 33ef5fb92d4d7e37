# The commands of the course. `make` alone lists them.
# They need Python 3.11 or later, make and a package index; nothing else.
# On Windows they need the shell of Git for Windows too: type them in Git Bash.

ifeq ($(OS),Windows_NT)
  ifeq ($(shell command -v sh 2>/dev/null),)
    $(error There is no sh here. Open Git Bash, which comes with Git for Windows, and type make there)
  endif
endif

# The first that runs: Windows has a python3 that only points to a shop.
PYTHON ?= $(shell for name in python3 python py; do "$$name" -c "" 2>/dev/null && command -v "$$name" && break; done)

ifeq ($(OS),Windows_NT)
  BIN := .venv/Scripts
else
  BIN := .venv/bin
endif
RUN := $(BIN)/python
READY := .venv/.ready

# A Quarto installed by `make quarto` lies in .venv and is found first.
# (Windows' own builds of make separate folders by semicolons.)
export PATH := $(CURDIR)/$(BIN)$(if $(findstring ;,$(PATH)),;,:)$(PATH)
export PYTHONUTF8 := 1

JOBS ?= 2
LECTURES := $(sort $(wildcard lectures/*.qmd))

.PHONY: help setup slides pdf zip test test-quick test-slow test-site notebooks lab students train tune data bench check links browser quarto newest ready clean

help:
	@echo "make slides   render every lecture to _site/"
	@echo "make pdf      write a PDF of each deck and one of all notes to _site/handouts/"
	@echo "make zip      pack each lecture for a stick or Moodle to _build/zip/; LECTURE=3 packs one"
	@echo "make test     test all that a change is likely to break, in JOBS=2 processes"
	@echo "make test-quick  test what needs neither the site nor a fit, in two minutes"
	@echo "make test-slow   test the rest: other characters and screens, killed processes, refits"
	@echo "make test-site   test the site alone: the one made here, or the one in COURSE_SITE=<folder>"
	@echo "make ready    bring everything generated up to date before a commit"
	@echo "make notebooks  write every lecture and exercise as a notebook"
	@echo "make lab      open your copies of exercises and notebooks, in my-work/, in JupyterLab"
	@echo "make students  write what students get, without solutions, to _build/students/; BRANCH=1 commits it"
	@echo "make train    refit every model in cache/"
	@echo "make tune     run lecture 5's search as a chief and WORKERS=2 workers; OUT=<folder> keeps it"
	@echo "make data     rebuild the simulated handwriting; CASIA=<folder> OUT=<folder> imports real scans"
	@echo "make bench    run the benchmarks and print their tables"
	@echo "make check    tell in seconds whether this machine is ready for class"
	@echo "make links    check external links over the network"
	@echo "make browser  download a browser for the tests and make pdf, where none is installed"
	@echo "make quarto   install Quarto into .venv, where its download can be reached"
	@echo "make newest   put the newest packages into .venv, whatever requirements.txt says"
	@echo "make clean    remove what the commands made, but not .venv"

# One line, readable by any Python, that ends make when it is too old.
PYTHON_IS_NEW = "$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11) and 'This course needs Python 3.11 or later, but %s is %d.%d. Install a newer one, or name it: make PYTHON=<path> $(MAKECMDGOALS)' % ((sys.executable,) + sys.version_info[:2]))"

# Generated files never conflict when versions are merged: git keeps this clone's, `make ready` makes them anew.
# (.gitattributes names the files. A folder that is no clone does without.)
MERGE = git config merge.generated.driver true 2>/dev/null || true

setup: $(READY)
	@$(MERGE)

$(READY): requirements.txt requirements-tests.txt pyproject.toml
	@$(PYTHON_IS_NEW)
	@echo "Setting up .venv (once; a few minutes, about 2 GB) ..."
	@"$(PYTHON)" -m venv .venv
	@"$(RUN)" -m pip install --quiet --disable-pip-version-check -e ".[tests]"
	@$(MERGE)
	@"$(RUN)" -c "import pathlib; pathlib.Path('$(READY)').touch()"

slides: $(READY)
	@"$(RUN)" -m render

pdf: slides
	@"$(RUN)" -m tools.pdf
	@"$(RUN)" -m render

zip: slides
	@"$(RUN)" -m tools.pack $(LECTURE)

# Files of tests are shared among JOBS processes, of about 2 GB each.
PYTEST = "$(RUN)" -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout=900

test: $(READY)
	@$(PYTEST) $(NBVAL) notebooks tests/whole tests/unit tests/site

test-quick: $(READY)
	@$(PYTEST) tests/unit

test-slow: $(READY)
	@$(PYTEST) $(NBVAL) tests/slow exercises/solutions

test-site: $(READY)
	@$(PYTEST) tests/site tests/slow/test_engines.py tests/slow/test_other_handouts.py tests/slow/test_other_windows.py

# Whatever is made from something else, and quickly: what takes long has a command of its own. The front
# page's network is the one of lecture 4, which the slides may just have fitted.
ready: $(READY)
	@$(MERGE)
	@"$(RUN)" -m ruff format --quiet .
	@"$(RUN)" -m ruff check --quiet --fix .
	@"$(RUN)" -m tools.kernel_explorer
	@$(MAKE) --no-print-directory notebooks slides
	@"$(RUN)" -m tools.draw_yourself --check 2>/dev/null || \
	  { "$(RUN)" -m tools.draw_yourself && $(MAKE) --no-print-directory slides; }
	@"$(RUN)" -m tools.links --write
	@"$(RUN)" -m tools.ledger --write
	@git status --short

notebooks: $(READY)
	@"$(RUN)" -m tools.notebooks notebooks
	@"$(RUN)" -m tools.exercises

lab: $(READY)
	@"$(RUN)" -m tools.lab

students: notebooks
	@"$(RUN)" -m tools.students $(if $(BRANCH),--branch)

# Lecture 3 comes last: it looks into the network that lecture 4 fits.
train: $(READY)
	@COURSE_REFIT=1 "$(RUN)" -m tools.train $(filter-out lectures/03-%,$(LECTURES)) $(filter lectures/03-%,$(LECTURES))
	@"$(RUN)" -m tools.draw_yourself
	@"$(RUN)" -m tools.ledger --write

tune: $(READY)
	@"$(RUN)" -m tools.tune --workers "$(or $(WORKERS),2)" $(if $(SEARCH),--search "$(SEARCH)") \
	  $(if $(OUT),--out "$(OUT)") $(if $(KILL),--kill "$(KILL)")

ifdef CASIA
data: $(READY)
	@"$(RUN)" -m tools.casia "$(CASIA)" --out "$(or $(OUT),data/casia)"
else
data: $(READY)
	@"$(RUN)" -m tools.handwriting.archive
	@"$(RUN)" -m tools.ledger --write data/
endif

bench: $(READY)
	@for name in $(basename $(notdir $(wildcard benchmarks/[a-z]*.py))); do \
	  echo; echo "== $$name"; "$(RUN)" -m benchmarks.$$name || exit 1; done

# Without .venv too: then it says what is missing.
check:
	@$(if $(wildcard $(RUN)*),true,$(PYTHON_IS_NEW))
	@"$(if $(wildcard $(RUN)*),$(RUN),$(PYTHON))" -m tools.check

links: $(READY)
	@"$(RUN)" -m tools.links --network

browser: $(READY)
	@"$(RUN)" -m playwright install chromium

quarto: $(READY)
	@"$(RUN)" -m pip install --quiet --disable-pip-version-check -r requirements-quarto.txt \
	  || { echo "Quarto could not be downloaded from here. Nothing is lost: 'make slides' renders without it."; exit 1; }
	@"$(BIN)/quarto" --version

# The names of requirements.txt without their versions; `rm -r .venv` undoes it.
newest: $(READY)
	@"$(RUN)" -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager \
	  $$(sed -n -E 's/^([A-Za-z][A-Za-z0-9_.-]*).*/\1/p' requirements.txt requirements-tests.txt)
	@"$(RUN)" -m pip list

clean:
	@"$(PYTHON)" -c "import shutil; [shutil.rmtree(p, ignore_errors=True) for p in ('_site', '_freeze', '_build', '.render-cache', '.quarto')]"
