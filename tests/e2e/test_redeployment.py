"""What a second deployment changes reaches whoever calls the functions, at once."""

from pathlib import Path

import pytest

from local.processes import wait_until
from local.sam import Sam
from local.stack import Deployment, LocalStack
from tests.e2e.confidential import Confidential
from tests.e2e.harness import TeamApp, configuration, deploy_with, invoke, update, uploaded_template
from tests.fakes.source_tree import copy_sources

_MARK = "imported from the changed layer"
_FUNCTIONS = tuple(
    f"{name}FunctionName" for name in ("MintToken", "OnSignup", "SyncUser", "Reconcile", "CheckReadiness")
)


@pytest.fixture(scope="module")
def redeployed(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> TeamApp:
    """An app on a stack that the tests of this module deploy again."""
    return deploy_with(cloud, stack, confidential, "redeployed")


def test_a_changed_parameter_is_in_force_at_once(cloud: LocalStack, redeployed: TeamApp) -> None:
    token = redeployed.sign_in(redeployed.create_by_admin()).access
    before = redeployed.mint(token).json()["scopes"]

    update(cloud, redeployed.deployment.name, ChatFeatures="channels")

    assert redeployed.mint(token).json()["scopes"] == ["chat:message:create", "chat:read"]
    assert len(before) > 2


@pytest.mark.parametrize(("name", "value"), [("MemorySize", 1536), ("Timeout", 3)])
def test_another_property_of_the_trigger_reaches_its_alias(
    cloud: LocalStack, redeployed: TeamApp, name: str, value: int
) -> None:
    alias = redeployed.deployment["OnSignupFunctionArn"]
    template, before = uploaded_template(cloud, redeployed.deployment.name), configuration(cloud, alias)
    template["Resources"]["OnSignupFunction"]["Properties"][name] = value

    update(cloud, redeployed.deployment.name, template)

    after = configuration(cloud, alias)
    assert (before[name] != value, after[name]) == (True, value)
    assert int(after["Version"]) > int(before["Version"])


def test_one_changed_line_in_the_layer_reaches_every_function(
    cloud: LocalStack, redeployed: TeamApp, tmp_path: Path
) -> None:
    functions = {redeployed.deployment[output] for output in _FUNCTIONS}
    tree = copy_sources(tmp_path / "tree")
    with (tree / "layers" / "whop_chat" / "whop_chat" / "__init__.py").open("a") as module:
        module.write(f"\nprint({_MARK!r})\n")

    cloud.deploy(Sam(tmp_path / "sam", root=tree).build(), redeployed.deployment.name)

    redeployed.health()
    redeployed.sign_up()  # by the alias of on_signup, and then by the queue
    invoke(cloud, redeployed.deployment["ReconcileFunctionName"], {"command": "continue"})
    invoke(cloud, redeployed.deployment["CheckReadinessFunctionName"], {})
    assert wait_until(lambda: _marked_by(cloud) >= functions, 20)


def _marked_by(cloud: LocalStack) -> set[str]:
    """The functions that have written the mark into their log."""
    return {name for name, _, line in (each.partition("\t") for each in cloud.function_log()) if line == _MARK}
