"""The deployer's policy against AWS's schemas of the resource types, which the SAM environment has with cfn-lint."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from local.sam import interpreter
from tests.template.translation import translated
from tools.deployer_policy import FILE, RESOURCE_TYPES, policy, text

# Why an action that a schema names is not in the policy, or not for that type. "ec2:*" stands for all of a service.
NOT_NEEDED = {
    "codedeploy:*": "no deployment of the template shifts traffic",
    "cognito-idp:DeleteUserPool": "the pool outlives the stack",
    "cognito-idp:DeleteUserPoolClient": "the app client outlives the stack",
    "dynamodb:AssociateTableReplica": "no replicas",
    "dynamodb:BatchWriteItem": "no import, and the deployer need not see users",
    "dynamodb:CreateTableReplica": "no replicas",
    "dynamodb:DeleteItem": "no import, and the deployer need not see users",
    "dynamodb:DeleteResourcePolicy": "no resource policy",
    "dynamodb:DeleteTable": "the table outlives the stack",
    "dynamodb:DescribeImport": "no import",
    "dynamodb:DisableKinesisStreamingDestination": "no stream",
    "dynamodb:EnableKinesisStreamingDestination": "no stream",
    "dynamodb:GetItem": "no import, and the deployer need not see users",
    "dynamodb:ImportTable": "no import",
    "dynamodb:PutItem": "no import, and the deployer need not see users",
    "dynamodb:PutResourcePolicy": "no resource policy",
    "dynamodb:Query": "no import, and the deployer need not see users",
    "dynamodb:Scan": "no import, and the deployer need not see users",
    "dynamodb:UpdateContributorInsights": "no contributor insights",
    "dynamodb:UpdateItem": "no import, and the deployer need not see users",
    "dynamodb:UpdateKinesisStreamingDestination": "no stream",
    "ec2:*": "no VPC",
    "elasticfilesystem:*": "no file system",
    "firehose:*": "no delivery stream",
    "iam:AttachRolePolicy": "the roles have inline policies only",
    "iam:CreateServiceLinkedRole": "for replicas, and for e-mail through SES",
    "iam:GetRole": "of a topic that logs deliveries by a role, which ours does not",
    "iam:DetachRolePolicy": "the roles have inline policies only",
    "iam:PassRole": "a statement of its own, for Lambda",
    "kinesis:*": "no stream",
    "kms:*": "the key policy allows the account (docs/deploy.md)",
    "apigateway:TagResource": "POST on /tags",
    "apigateway:UntagResource": "DELETE on /tags",
    "lambda:AssociateRuntimeAlias": "AWS chooses the runtime's version",
    "lambda:DeleteFunctionCodeSigningConfig": "no code signing",
    "lambda:DeleteLayerVersion": "versions of the layer outlive the stack",
    "lambda:DeleteProvisionedConcurrencyConfig": "no provisioned concurrency",
    "lambda:GetCodeSigningConfig": "no code signing",
    "lambda:PassCapacityProvider": "no capacity provider",
    "lambda:PutFunctionCodeSigningConfig": "no code signing",
    "lambda:PutFunctionRecursionConfig": "the default",
    "lambda:PutFunctionScalingConfig": "no capacity provider",
    "lambda:PutProvisionedConcurrencyConfig": "no provisioned concurrency",
    "lambda:PutRuntimeManagementConfig": "the default",
    "logs:DeleteDataProtectionPolicy": "no data protection policy",
    "logs:DeleteIndexPolicy": "no index policy",
    "logs:DeleteResourcePolicy": "no resource policy of ours",
    "logs:PutBearerTokenAuthentication": "no such authentication",
    "logs:PutDataProtectionPolicy": "no data protection policy",
    "logs:PutIndexPolicy": "no index policy",
    "logs:PutLogGroupDeletionProtection": "no deletion protection",
    "s3:*": "written otherwise, or for a body in S3: the policy allows to read SAM's bucket",
    "s3files:*": "no file system",
    "secretsmanager:GetSecretValue": "the deployer need not see the key of Whop",
    "secretsmanager:RemoveRegionsFromReplication": "no replicas",
    "secretsmanager:ReplicateSecretToRegions": "no replicas",
    "sns:PutDataProtectionPolicy": "no data protection policy",
}
# Granted for other types. This one needs them for a feature that the template does not use.
NOT_FOR = {
    # analytics by Pinpoint
    "AWS::Cognito::UserPoolClient": {"iam:DeleteRolePolicy", "iam:PutRolePolicy"},
    # the log of an import
    "AWS::DynamoDB::Table": {"logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogGroups"}
    | {"logs:DescribeLogStreams", "logs:PutLogEvents", "logs:PutRetentionPolicy"},
    # delivery of logs that other services write: the stage of the API has it
    "AWS::Logs::LogGroup": {"logs:CreateLogDelivery", "logs:PutResourcePolicy"},
    # subscriptions by Firehose, and the log of deliveries
    "AWS::SNS::Subscription": {"iam:GetRole"},
    "AWS::SNS::Topic": {"iam:GetRole"},
}
# What a type needs although its schema does not name it.
BEYOND_THE_SCHEMA = {
    "AWS::ApiGatewayV2::Stage": {"logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeResourcePolicies"}
    | {"logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery"},
}


@functools.cache
def _schemas() -> Path:
    (found,) = interpreter("sam").parent.parent.glob("lib/python*/site-packages/cfnlint/data/schemas")
    return found


def _by_schema(kind: str) -> set[str]:
    """The actions of CloudFormation's handlers for a type, but for those that list all resources of an account."""
    digest = json.loads((_schemas() / "providers" / "us-east-1.json").read_text())[kind]
    handlers = json.loads((_schemas() / "resources" / f"{digest}.json").read_text())["handlers"]
    return {each for name, handler in handlers.items() if name != "list" for each in handler["permissions"]}


def _in_the_table(kind: str) -> set[str]:
    return {action for actions in RESOURCE_TYPES[kind].values() for action in actions}


def _not_needed(kind: str) -> set[str]:
    whole = {each.removesuffix("*") for each in NOT_NEEDED if each.endswith(":*")}
    unused = {each for each in _by_schema(kind) if each in NOT_NEEDED or f"{each.partition(':')[0]}:" in whole}
    return unused | NOT_FOR.get(kind, set())


def test_the_table_has_the_resource_types_of_the_template() -> None:
    kinds = {resource["Type"] for resource in translated({})["Resources"].values()}

    assert RESOURCE_TYPES.keys() == kinds


@pytest.mark.parametrize("kind", sorted(RESOURCE_TYPES))
def test_a_type_gets_the_actions_that_aws_names_for_it_and_no_other(kind: str) -> None:
    granted = _in_the_table(kind)

    assert granted - _by_schema(kind) == BEYOND_THE_SCHEMA.get(kind, set())
    assert _by_schema(kind) - granted == _not_needed(kind) - granted


def test_every_reason_is_for_an_action_that_aws_names() -> None:
    named = {action for kind in RESOURCE_TYPES for action in _by_schema(kind)}
    services = {f"{each.partition(':')[0]}:*" for each in named}

    assert NOT_NEEDED.keys() - named - services == set()


def test_no_statement_allows_a_whole_service() -> None:
    actions = [each for statement in _statements() for each in statement["Action"]]

    assert not [each for each in actions if "*" in each]


def test_only_what_has_no_name_before_is_allowed_everywhere() -> None:
    everywhere = {each for statement in _statements() for each in statement["Action"] if statement["Resource"] == "*"}

    assert everywhere == {
        "cognito-idp:CreateUserPool",
        "lambda:CreateEventSourceMapping",
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DeleteQueryDefinition",
        "logs:DescribeLogGroups",
        "logs:DescribeQueryDefinitions",
        "logs:DescribeResourcePolicies",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutQueryDefinition",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
        "secretsmanager:GetRandomPassword",
        "sns:GetSubscriptionAttributes",
        "sns:SetSubscriptionAttributes",
        "sns:Unsubscribe",
        "tag:GetResources",
    }


def test_a_role_of_the_stack_is_passed_to_lambda_only() -> None:
    (statement,) = [each for each in policy()["Statement"] if each["Action"] == "iam:PassRole"]

    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}


def test_the_file_is_what_the_tool_writes() -> None:
    assert FILE.read_text() == text(), "python -m tools.deployer_policy writes it again"


def test_the_policy_fits_into_a_role() -> None:
    """10,240 characters without white space, for all inline policies of a role (IAM quotas)."""
    assert len(json.dumps(policy(), separators=(",", ":"))) <= 10_240


def _statements() -> list[dict[str, Any]]:
    return [each for each in policy()["Statement"] if isinstance(each["Action"], list)]
