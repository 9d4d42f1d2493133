# Each target does its own set-up; see README.md.
.PHONY: setup quickstart test lint package
PY = .venv/bin/python

setup:
	@bash tools/dev/setup_env.sh

quickstart: setup
	@$(PY) -W ignore benchmarks/quickstart.py

test: setup
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n $${TEST_WORKERS:-2} --dist worksteal $(ARGS)

lint: setup
	@$(PY) -m ruff check .

package: setup
	@bash tools/dev/check_wheel.sh
