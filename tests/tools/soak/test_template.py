"""The constants of the soak are those of the template."""

from soak import cognito, lambdas, sqs, stack
from soak.fault_injector import FaultInjector
from soak.scenarios import flood
from soak.scheduler import Scheduler
from tests.template.translation import deployed, parameter_values


def test_queue_functions_and_limits_are_those_of_the_template() -> None:
    resources = deployed()
    properties = {name: resource.get("Properties", {}) for name, resource in resources.items()}
    source = next(each for each in properties.values() if "ScalingConfig" in each)
    scheduler = Scheduler(0)
    made = stack.Stack(scheduler, FaultInjector(scheduler.chance))

    assert properties["SyncQueue"]["VisibilityTimeout"] == sqs.VISIBILITY_SECONDS
    assert properties["SyncQueue"]["RedrivePolicy"]["maxReceiveCount"] == sqs.MAX_RECEIVES
    assert source["BatchSize"] == lambdas.BATCH
    assert int(source["ScalingConfig"]["MaximumConcurrency"]) == lambdas.CONCURRENCY
    assert properties["UserPoolClient"]["AccessTokenValidity"] * 60 == cognito.TOKEN_SECONDS
    for function, name in (
        (made.mint, "MintTokenFunction"),
        (made.on_signup, "OnSignupFunction"),
        (made.sync, "SyncUserFunction"),
        (made.reconcile, "ReconcileFunction"),
    ):
        assert properties[name]["Timeout"] == function.timeout

    throttle = properties["HttpApiApiGatewayDefaultStage"]["DefaultRouteSettings"]
    assert (throttle["ThrottlingRateLimit"], throttle["ThrottlingBurstLimit"]) == stack.API_LIMITS
    assert int(parameter_values()["MintsPerMinute"]) == flood.MINTS_PER_MINUTE


def test_the_environment_has_every_name_of_the_template() -> None:
    resources = deployed(TokenReuse="on-error")
    given = {
        name
        for resource in resources.values()
        if resource["Type"] == "AWS::Lambda::Function"
        for name in resource["Properties"]["Environment"]["Variables"]
    }

    without_pictures = {name for name in given if not name.startswith(("POWERTOOLS_", "AVATAR_"))}
    assert without_pictures <= stack.ENVIRONMENT.keys()
