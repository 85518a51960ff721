"""CloudFormation: parameters of the transform, conditions in change sets, types that do nothing, Ref of a secret."""

import contextvars
import json
import sys
from collections.abc import Callable
from typing import Any

import samtranslator.translator.transform as sam  # type: ignore[import-untyped]
from ministack.services.cloudformation import changesets, engine, handlers, provisioners, stacks

from local.emulator.patching import Function, wrap, wrap_resource

NO_OPS = (
    "AWS::Budgets::Budget",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::Logs::QueryDefinition",
    "AWS::SecretsManager::ResourcePolicy",
    "AWS::SecretsManager::RotationSchedule",
    "AWS::WAFv2::WebACLAssociation",
    "AWS::XRay::Group",
)

_values: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("parameters", default=None)


def install() -> None:
    """Apply the patches of this module."""
    wrap(sam, "transform", _with_parameter_values)
    _wrap_everywhere("_apply_transforms", _remember_parameter_values)
    _wrap_everywhere("_evaluate_conditions", _with_joined_values)
    wrap(changesets, "_resolve_props_for_diff", _without_unmet_conditions)
    for function in ("Contains", "EachMemberEquals", "EachMemberIn", "RefAll", "ValueOf", "ValueOfAll"):
        # Stock reads the functions of Rules only in their long form; AWS reads both forms.
        engine.CfnLoader.add_constructor(f"!{function}", engine._construct_cfn_tag(f"Fn::{function}"))
    known = provisioners._RESOURCE_HANDLERS
    for resource_type in NO_OPS:
        known.setdefault(resource_type, {"create": _no_op, "update": _keep, "delete": _forget})
    wrap_resource(known, "AWS::CloudWatch::Alarm", create=_without_metric_math, update=_update_without_metric_math)
    wrap_resource(
        known, "AWS::SecretsManager::Secret", create=_secret_by_arn, update=_update_secret, delete=_delete_secret
    )


def _wrap_everywhere(name: str, make: Callable[[Function], Function]) -> None:
    """Wrap a function of the engine in every module that imported it by name."""
    stock = getattr(engine, name)
    wrapped = make(stock)
    for module in (engine, changesets, handlers, stacks):
        if getattr(module, name, None) is stock:
            setattr(module, name, wrapped)


def _remember_parameter_values(stock: Function) -> Function:
    """Stock runs the SAM transform with the template's defaults; AWS runs it with the values of this deployment.

    The transform needs a CommaDelimitedList as a list. From a string, ``AllowOrigins: !Ref Origins`` would become a
    list of letters.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
    """

    def apply(template: dict[str, Any], provided: Any = None, previous: Any = None) -> Any:
        values = engine._transform_parameters(template, provided, previous)
        definitions = template.get("Parameters") or {}
        token = _values.set({name: _typed(value, definitions.get(name) or {}) for name, value in values.items()})
        try:
            return stock(template, provided, previous)
        finally:
            _values.reset(token)

    return apply


def _typed(value: str, definition: dict[str, Any]) -> str | list[str]:
    if definition.get("Type") == "CommaDelimitedList" or str(definition.get("Type", "")).startswith("List<"):
        return [member.strip() for member in value.split(",")] if value else []
    return value


def _with_parameter_values(stock: Function) -> Function:
    def transform(template: Any, parameter_values: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        return stock(template, {**(_values.get() or {}), **parameter_values}, *args, **kwargs)

    return transform


def _with_joined_values(stock: Function) -> Function:
    """Stock does not evaluate ``!Join`` in a condition; AWS does.

    It is the only way to test whether a list is empty: ``!Equals [!Join ["", !Ref List], ""]``.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-conditions.html
    """

    def evaluate(template: dict[str, Any], params: dict[str, Any]) -> Any:
        mappings = template.get("Mappings") or {}

        def joined(node: Any) -> Any:
            if isinstance(node, dict):
                if "Fn::Join" in node:
                    return engine._resolve_refs(node, {}, params, {}, mappings, "", "")
                return {key: joined(value) for key, value in node.items()}
            return [joined(each) for each in node] if isinstance(node, list) else node

        return stock({**template, "Conditions": joined(template.get("Conditions") or {})}, params)

    return evaluate


def _without_unmet_conditions(stock: Function) -> Function:
    """Stock's change sets add resources whose condition does not hold, such as a user pool beside one's own."""

    def resolve(template: dict[str, Any], params: dict[str, Any], *names: str) -> dict[str, Any]:
        met = engine._evaluate_conditions(template, params) if template else {}
        resources = stock(template, params, *names).get("Resources", {})
        return {"Resources": {name: each for name, each in resources.items() if met.get(each.get("Condition"), True)}}

    return resolve


def _no_op(logical_id: str, props: dict[str, Any], stack_name: str) -> tuple[str, dict[str, Any]]:
    """Stock refuses a template with a type that it does not know. These types have an effect only in a real account."""
    print(f"local.emulator: {logical_id} does nothing here", file=sys.stderr)
    return f"{stack_name}-{logical_id}", {}


def _keep(physical_id: str, *_: Any) -> tuple[str, dict[str, Any]]:
    return physical_id, {}


def _forget(*_: Any) -> None:
    return None


def _without_metric_math(stock: Function) -> Function:
    """Stock refuses an alarm on a metric expression, which AWS accepts; here it does nothing."""

    def create(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        if not props.get("Metrics"):
            return stock(logical_id, props, stack_name)
        physical_id, _ = _no_op(logical_id, props, stack_name)
        return physical_id, _alarm_attributes(physical_id)

    return create


def _update_without_metric_math(stock: Function) -> Function:
    def update(physical_id: str, old: Any, new: dict[str, Any], *args: Any) -> Any:
        if not new.get("Metrics"):
            return stock(physical_id, old, new, *args)
        return physical_id, _alarm_attributes(physical_id)

    return update


def _alarm_attributes(name: str) -> dict[str, str]:
    """A dashboard names an alarm by its ARN."""
    return {"Arn": f"arn:aws:cloudwatch:{engine.get_region()}:{engine.get_account_id()}:alarm:{name}"}


def _secret_by_arn(stock: Function) -> Function:
    """Stock's Ref of a secret is its name; on AWS it is the ARN. The functions' policies name the ARN.

    Stock also ignores the options of GenerateSecretString, which AWS follows.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-secret.html
    """

    def create(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        generate = props.get("GenerateSecretString")
        if generate:
            props = {name: value for name, value in props.items() if name != "GenerateSecretString"}
            props["SecretString"] = _generated(generate)
        name, attributes = stock(logical_id, props, stack_name)
        if "SecretString" not in props:
            # Stock stores an empty value. AWS stores no value, and a read raises ResourceNotFoundException.
            provisioners._sm._secrets[name]["Versions"].clear()
        return attributes["Arn"], {"Id": attributes["Arn"]}

    return create


def _generated(options: dict[str, Any]) -> str:
    password: str = json.loads(provisioners._sm._get_random_password(options)[2])["RandomPassword"]
    if not options.get("SecretStringTemplate"):
        return password
    return json.dumps(
        {**json.loads(options["SecretStringTemplate"]), options.get("GenerateStringKey", "password"): password}
    )


def _update_secret(stock: Function) -> Function:
    def update(physical_id: str, *args: Any) -> Any:
        _, attributes = stock(_secret_name(physical_id), *args)
        return attributes["Arn"], {"Id": attributes["Arn"]}

    return update


def _delete_secret(stock: Function) -> Function:
    def delete(physical_id: str, props: Any) -> Any:
        return stock(_secret_name(physical_id), props)

    return delete


def _secret_name(physical_id: str) -> str:
    name: str = provisioners._sm._resolve(physical_id)[0] or physical_id
    return name
