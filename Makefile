# GNU make and a Python 3.13 are all this needs. Everything that it installs stays in .venv/, everything that it builds
# in .aws-sam/ and .local/; `make clean` removes the three, and what is installed for Node.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The programs do not share one set of packages (SAM and the emulator each pin their own botocore, the functions get
# what Lambda has), so each has an environment of its own, made from its own lock.
ENVIRONMENTS := dev sam emulator lambda care
READY := $(ENVIRONMENTS:%=.venv/%/.ready)
# What only `make bench` needs: the Lambda runtime, and the packages of the candidate with everything included.
BENCH := bench peer
DEV := .venv/dev/bin/python
SAM := .venv/sam/bin/python -m samcli

# ARCH is the architecture the functions are built for: x86_64 or arm64. By default it is this machine's.
ARCH ?= $(if $(filter arm64 aarch64,$(shell uname -m)),arm64,x86_64)

# Looked for at its first use only, so that `make help` and `make clean` work without it.
PYTHON_FOUND = $(eval PYTHON_FOUND := $$(shell tools/find-python))$(or $(PYTHON_FOUND),$(error Python 3.13 is needed))

export SAM_CLI_TELEMETRY := 0
export AWS_EC2_METADATA_DISABLED := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

# What runs on this machine never sees the operator's account: no profile, no keys, no files that hold them.
OFFLINE = env -u AWS_PROFILE -u AWS_DEFAULT_PROFILE -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY -u AWS_SESSION_TOKEN \
	-u AWS_ENDPOINT_URL -u MAKEFLAGS -u MAKELEVEL AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null \
	AWS_DEFAULT_REGION=us-east-1 AWS_REGION=us-east-1 __SAM_CLI_APP_DIR=$(CURDIR)/.venv/sam/state \
	PATH="$(dir $(PYTHON_FOUND)):$$PATH"

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: dev
dev: environments ## the local stack, which stays up, and a page to try it on (ARGS="--origin http://localhost:5173")
	@exec $(OFFLINE) $(DEV) -m local.dev $(ARGS)

.PHONY: demo
demo: environments ## the whole path on this machine: deploy, sign up, sign in, mint, chat, link an account
	@$(OFFLINE) $(DEV) -m local.demo

.PHONY: local
local: environments ## an empty AWS and Whop on this machine until Ctrl-C, to deploy to: docs/local.md
	@exec $(OFFLINE) $(DEV) -m local

# The three parts stand side by side, because the end-to-end tests mostly wait. Each has its own servers on free ports.
.PHONY: test
test: environments lint template care ## lint, template checks, make care, and all tests with the coverage of the package
	@$(if $(NODE),$(MAKE) --no-print-directory $(CLIENT_MODULES))
	@$(MAKE) --no-print-directory --jobs=3 test-package test-programs test-end-to-end

# Tracing makes the other tests half as slow again, and the unit tests alone must run every line of the package.
.PHONY: test-package
test-package: .venv/dev/.ready
	@$(OFFLINE) $(DEV) -m coverage run -m pytest tests/unit
	@$(DEV) -m coverage report

.PHONY: test-programs
test-programs: environments
	@$(OFFLINE) $(DEV) -m pytest --ignore=tests/unit --ignore=tests/e2e

.PHONY: test-end-to-end
test-end-to-end: environments
	@$(OFFLINE) $(DEV) -m pytest tests/e2e

.PHONY: unit
unit: .venv/dev/.ready ## the quick tests
	@$(OFFLINE) $(DEV) -m pytest tests/unit -m "not thorough"

.PHONY: lint
lint: github ## ruff, mypy --strict, and what `make github` checks
	@$(DEV) -m ruff check .
	@$(DEV) -m ruff format --check .
	@$(DEV) -m mypy

# Without a network: the schemas are those that check-jsonschema brings.
SCHEMA = $(DEV) -m check_jsonschema --quiet --builtin-schema

.PHONY: github
github: .venv/dev/.ready ## the workflows and forms in .github, against their schemas and by zizmor
	@.venv/dev/bin/zizmor --offline --pedantic --strict-collection --quiet .
	@$(SCHEMA) vendor.github-workflows .github/workflows/*.yml
	@$(SCHEMA) custom.github-workflows-require-timeout .github/workflows/*.yml
	@$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@$(SCHEMA) vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	@$(SCHEMA) vendor.dependabot .github/dependabot.yml

.PHONY: clients
clients: environments ## every case of clients/cases.json in each language whose tools are here, and browser tests
	@$(if $(NODE),$(MAKE) --no-print-directory $(CLIENT_MODULES))
	@$(OFFLINE) BROWSER_TESTS=all $(DEV) -m pytest tests/clients -rs

.PHONY: screenshots
screenshots: environments tests/browser/node_modules/.ready ## the README's pictures of the page of make dev
	@$(OFFLINE) $(DEV) -m tools.screenshots

.PHONY: prose
prose: .venv/dev/.ready ## how long the sentences of the documents are
	@$(DEV) -m tools.prose

.PHONY: template
template: .venv/sam/.ready ## sam validate and cfn-lint
	@$(OFFLINE) $(SAM) validate --lint
	@$(OFFLINE) .venv/sam/bin/python .venv/sam/bin/cfn-lint template.yaml

# Checkov would look for a newer checkov.
.PHONY: care
care: .venv/dev/.ready .venv/care/.ready ## weaknesses in code, template and packages, and secrets in the sources
	@.venv/care/bin/python -m bandit --quiet --recursive layers functions manage tools
	@$(OFFLINE) CKV_SKIP_PACKAGE_UPDATE_CHECK=true .venv/care/bin/python -m checkov.main --file template.yaml \
		--framework cloudformation --skip-download --compact --quiet
	@$(DEV) -m tools.care.secrets
	@$(DEV) -m tools.care.audit

.PHONY: build
build: .venv/sam/.ready ## what would be deployed, in .aws-sam/build (ARCH=x86_64 or arm64)
	@$(OFFLINE) $(SAM) build --parameter-overrides Architecture=$(ARCH)

# One machine builds for both architectures: nothing is compiled for either but bytecode, which is the same.
.PHONY: dist
dist: .venv/dev/.ready .venv/sam/.ready ## what a release attaches, in dist/: the built stack for both architectures
	@for architecture in x86_64 arm64; do \
		$(OFFLINE) $(SAM) build --build-dir .aws-sam/$$architecture --parameter-overrides Architecture=$$architecture || exit; \
	done
	@PYTHONPATH=layers/whop_chat $(DEV) -m tools.release $(ARGS)

.PHONY: licenses
licenses: .venv/dev/.ready ## write THIRD_PARTY_LICENSES, after the layer's lock has changed
	@$(DEV) -m tools.third_party_licenses

.PHONY: bench
bench: .venv/dev/.ready $(BENCH:%=.venv/%/.ready) build ## what it costs, as ratios to peers in the same run (ARGS="--help")
	@$(if $(NODE),$(MAKE) --no-print-directory bench/node/node_modules/.ready,echo 'no node and npm here: Node does not take part')
	@$(OFFLINE) PYTHONPATH=layers/whop_chat $(DEV) -m bench.verification
	@$(OFFLINE) $(DEV) -m bench $(ARGS)

.PHONY: memory
memory: .venv/dev/.ready $(BENCH:%=.venv/%/.ready) build ## what each function takes and costs by its memory size (ARGS="--help")
	@$(OFFLINE) $(DEV) -m bench.memory $(ARGS)

CLIENT_MODULES := clients/typescript/node_modules/.ready tests/browser/node_modules/.ready
NODE = $(and $(shell command -v node),$(shell command -v npm))

# The lock has the hash of each package. Nothing of a package runs at its installation.
%/node_modules/.ready: %/package-lock.json
	@echo "installing $*/node_modules"
	@cd $* && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: scale
scale: .venv/dev/.ready ## a backfill of 100,000 users on a virtual clock, in a minute or two (ARGS="--help")
	@$(OFFLINE) PYTHONPATH=layers/whop_chat $(DEV) -m soak backfill $(ARGS)

.PHONY: reuse
reuse: .venv/dev/.ready ## what TokenReuse saves in a day of page loads, computed (ARGS="--help")
	@$(OFFLINE) PYTHONPATH=layers/whop_chat $(DEV) -m soak.scenarios.reuse $(ARGS)

.PHONY: costs
costs: .venv/dev/.ready ## a month's bill of AWS by service (ARGS="--users 40000 --page-loads 5")
	@$(DEV) -m tools.costs $(ARGS)

.PHONY: model
model: .venv/dev/.ready ## every state of the enrolment and refresh protocols (ARGS="--workers 3 --disturbances 3")
	@$(OFFLINE) PYTHONPATH=layers/whop_chat $(DEV) -m tests.model.refresh_model
	@$(OFFLINE) PYTHONPATH=layers/whop_chat $(DEV) -m tests.model.model_search $(ARGS)

.PHONY: mutation
mutation: .venv/dev/.ready ## 1,200 small faults against the unit tests, under an hour; resumes (ARGS="--help")
	@$(OFFLINE) $(DEV) -m tools.mutation $(ARGS)

.PHONY: fuzz
fuzz: .venv/dev/.ready ## bad input for every function (ARGS="--runs 50000 --seed 1")
	@$(OFFLINE) PYTHONPATH=layers/whop_chat $(DEV) -m tests.fuzz $(ARGS)

.PHONY: soak
soak: .venv/dev/.ready ## the whole service with faults on a virtual clock, in minutes (ARGS="--help", ARGS="--self-check")
	@$(OFFLINE) PYTHONPATH=layers/whop_chat $(DEV) -m soak $(ARGS)

.PHONY: whop-check
whop-check: .venv/dev/.ready ## ask Whop's sandbox what its documents leave open (needs a sandbox key)
	@$(OFFLINE) $(DEV) -m local.whop_check $(ARGS)

.PHONY: manage
manage: .venv/dev/.ready ## work on a deployed stack, with your AWS credentials (ARGS="--stack NAME COMMAND ...")
	@env -u AWS_EC2_METADATA_DISABLED PYTHONPATH=layers/whop_chat $(DEV) -m manage $(ARGS)

# The operator's credentials, and the Python that sam build needs. SAM starts a make of its own.
DEPLOY = env -u AWS_EC2_METADATA_DISABLED -u MAKEFLAGS -u MAKELEVEL __SAM_CLI_APP_DIR=$(CURDIR)/.venv/sam/state \
	PATH="$(dir $(PYTHON_FOUND)):$$PATH" .venv/sam/bin/python -m tools.deploy

.PHONY: deploy
deploy: .venv/sam/.ready ## build and deploy a stage; asks once, shows what would change (STAGE=dev, ARGS="--help")
	@$(DEPLOY) deploy --stage "$(STAGE)" --sam "$(SAM)" $(ARGS)

.PHONY: rollback
rollback: .venv/sam/.ready ## list the deployed versions of a stage, or deploy one again (STAGE=dev VERSION=…)
	@$(DEPLOY) rollback --stage "$(STAGE)" $(if $(VERSION),--version "$(VERSION)") $(ARGS)

.PHONY: alarms
alarms: .venv/dev/.ready ## the state of each alarm of a stack on the local cloud, which does not evaluate any (STACK=NAME)
	@$(DEV) -m tools.watch "$(STACK)"

.PHONY: delete
delete: .venv/sam/.ready ## delete a deployed stack; a user pool that it made and the users table stay (STACK=NAME)
	@env -u AWS_EC2_METADATA_DISABLED .venv/sam/bin/python tools/delete_stack.py "$(STACK)"

.PHONY: clean
clean: ## remove everything that was installed or built
	rm -rf .venv .aws-sam .local dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis bench/node/node_modules \
		clients/typescript/node_modules clients/typescript/types tests/browser/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------------------------------------------- environments

# Side by side even when make was not asked to: half of the time goes into unpacking.
.PHONY: environments
environments:
	@$(MAKE) --no-print-directory --quiet $(if $(findstring j,$(firstword -$(MAKEFLAGS))),,-j4) $(READY)

# The stamp is written last and holds the clone's folder: after an interrupted installation, in a moved clone, or when
# the Python is gone, the environment is recreated. SAM is kept from asking the package index for a newer SAM each week.
$(foreach env,$(ENVIRONMENTS) $(BENCH) lock,$(shell \
	[ -x .venv/$(env)/bin/python ] && [ "$$(cat .venv/$(env)/.ready 2>/dev/null)" = "$(CURDIR)" ] || rm -f .venv/$(env)/.ready))

.venv/%/.ready: requirements/%.txt
	@echo "installing .venv/$*"
	@rm -rf .venv/$*
	@$(PYTHON_FOUND) -m venv --without-pip .venv/$*
	@PIP_USER=0 $(PYTHON_FOUND) -m pip --python .venv/$*/bin/python install -qq --no-compile --require-hashes --no-deps -r $<
	@$(if $(filter sam,$*),mkdir .venv/sam/state && echo '{"lastVersionCheck": 32503680000.0}' > .venv/sam/state/metadata.json)
	@pwd > $@

# ---------------------------------------------------------------------------------------------------- locks

LOCK = .venv/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.13 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'
LAYER := layers/whop_chat/requirements
PILLOW := layers/pillow/requirements

# The tests run what the cloud runs: dev takes the layer's versions and boto3's from the two locks before it.
.PHONY: lock
lock: .venv/lock/.ready ## newest versions into the locks, with the hashes of every file of a version
	$(LOCK) requirements/lock.in -o requirements/lock.txt
	$(LOCK) requirements/sam.in -o requirements/sam.txt
	$(LOCK) requirements/emulator.in -o requirements/emulator.txt
	$(LOCK) requirements/care.in -o requirements/care.txt
	$(LOCK) requirements/lambda.in -o requirements/lambda.txt
	$(LOCK) $(LAYER).in -c requirements/lambda.txt -o $(LAYER).txt
	$(LOCK) $(PILLOW).in -o $(PILLOW).txt
	$(LOCK) requirements/bench.in -c requirements/lambda.txt -o requirements/bench.txt
	$(LOCK) requirements/peer.in -c $(LAYER).txt -o requirements/peer.txt
	$(LOCK) requirements/dev.in -c requirements/lambda.txt -c $(LAYER).txt -c $(PILLOW).txt -o requirements/dev.txt
