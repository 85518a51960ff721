"""`make deploy` and `make rollback`: the answers of a stage, its change set, and the versions to go back to.

The tools run in the environment of the SAM CLI, which brings boto3, rich and the SAM translator. `release` holds the
order of the steps. `answers`, `samconfig` and `template` say with which parameters; `sam`, `artifacts` and `stacks` are
the programs and services that do the work.
"""
