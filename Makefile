# make demo    a Hub on this machine, without a batch system
# make test    everything; as root on Debian also on a real Slurm cluster
# make bench   the benchmarks

# Batch jobs of ordinary users run from these environments, so root puts them where everybody can read.
ifeq ($(shell id -u),0)
ENVIRONMENTS ?= /var/cache/jupyterhub-hpc-spawner
PYTHON ?= /usr/bin/python3
else
ENVIRONMENTS ?= $(CURDIR)/.venv
PYTHON ?= python3
endif
export PYTHON

NEWEST = $(ENVIRONMENTS)/newest
OLDEST = $(ENVIRONMENTS)/oldest
PORT ?= 8000
PYTEST_ARGS ?=

.PHONY: demo test bench lint packages environments clean

demo:
	tools/make-environment $(ENVIRONMENTS)/demo '.[demo,examples]'
	tools/make-proxy $(ENVIRONMENTS)/demo
	$(ENVIRONMENTS)/demo/bin/jupyterhub-hpc-spawner demo --directory .demo --port $(PORT)

test: packages environments lint
	HPC_TEST_ENVIRONMENTS=$(NEWEST):$(OLDEST) tools/run-tests $(NEWEST)/bin/pytest $(PYTEST_ARGS)

bench: packages environments
	$(NEWEST)/bin/python benchmarks/parse_status.py
	$(NEWEST)/bin/python benchmarks/form.py
	$(NEWEST)/bin/python benchmarks/scale.py
	HPC_TEST_ENVIRONMENTS=$(NEWEST) $(NEWEST)/bin/python benchmarks/scale_slurm.py
	HPC_TEST_ENVIRONMENTS=$(NEWEST) $(NEWEST)/bin/python benchmarks/fuzz.py
	HPC_TEST_ENVIRONMENTS=$(NEWEST) $(NEWEST)/bin/python benchmarks/spawn_latency.py
	$(NEWEST)/bin/python benchmarks/dask_start.py --repeat 1
	$(NEWEST)/bin/python benchmarks/throughput.py

lint:
	$(NEWEST)/bin/flake8 jupyterhub_hpc_spawner tests benchmarks

packages:
	tools/install-test-packages

environments:
	tools/make-environment $(NEWEST) '.[demo,test]' -r tests/requirements-newest.txt
	tools/make-proxy $(NEWEST)
	tools/make-environment $(OLDEST) . -r tests/requirements-oldest.txt

clean:
	rm -rf $(NEWEST) $(OLDEST) $(ENVIRONMENTS)/demo .demo test-artifacts build *.egg-info
