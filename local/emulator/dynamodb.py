"""DynamoDB: what CloudFormation gives a table."""

from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import dynamodb
from ministack.services.cloudformation import provisioners

from local.emulator.patching import Function, wrap_resource


def install() -> None:
    """Apply the patches of this module."""
    wrap_resource(provisioners._RESOURCE_HANDLERS, "AWS::DynamoDB::Table", create=_with_settings, update=_by_its_name)


def _with_settings(stock: Function) -> Function:
    """Stock ignores time to live and point-in-time recovery, and gives a second stack of a name the same table.

    AWS follows both properties, and gives each table a name of its own. So a retained table and a new one are two.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
    """

    def create(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        unique = f"{stack_name}-{logical_id}-{new_uuid()[:8].upper()}"
        name, attributes = stock(logical_id, {"TableName": unique, **props}, stack_name)
        ttl, backups = props.get("TimeToLiveSpecification"), props.get("PointInTimeRecoverySpecification")
        if ttl:
            dynamodb._update_ttl({"TableName": name, "TimeToLiveSpecification": ttl})
        if backups:
            dynamodb._update_continuous_backups({"TableName": name, "PointInTimeRecoverySpecification": backups})
        return name, attributes

    return create


def _by_its_name(stock: Function) -> Function:
    """Stock makes the name again from the stack's, which is no longer that of the table."""

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], *args: Any) -> Any:
        named = {"TableName": physical_id}
        return stock(physical_id, {**named, **old}, {**named, **new}, *args)

    return update
