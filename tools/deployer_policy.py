"""What a role needs to deploy, roll back and delete the stacks of this template: `docs/deployer-policy.json`.

CloudFormation creates the resources with the permissions of whoever deploys. AWS's schema of a resource type names the
actions for that (CloudFormation, "Resource type schema", handlers); `tests/template/test_deployer_policy.py` compares.
Nobody has deployed with this policy on AWS yet.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / "docs" / "deployer-policy.json"

_APIS = ("arn:aws:apigateway:*::/apis", "arn:aws:apigateway:*::/apis/*")
_DOMAINS = ("arn:aws:apigateway:*::/domainnames", "arn:aws:apigateway:*::/domainnames/*")
_TAGS = "arn:aws:apigateway:*::/tags/*"
_FUNCTIONS = "arn:aws:lambda:*:*:function:whop-chat*"
_LAYERS = ("arn:aws:lambda:*:*:layer:whop-chat*",)
_MAPPINGS = "arn:aws:lambda:*:*:event-source-mapping:*"
_LOG_GROUPS = (
    "arn:aws:logs:*:*:log-group:/aws/lambda/whop-chat*",
    "arn:aws:logs:*:*:log-group:/aws/vendedlogs/whop-chat*",
)
_POOLS = "arn:aws:cognito-idp:*:*:userpool/*"
_TOPICS = "arn:aws:sns:*:*:whop-chat*"
_SAM_BUCKET = "arn:aws:s3:::aws-sam-cli-managed-default*"

type Grants = Mapping[str | tuple[str, ...], tuple[str, ...]]
"""Actions by the resources that they are for."""

RESOURCE_TYPES: Mapping[str, Grants] = {
    "AWS::ApiGatewayV2::Api": {
        _APIS: ("apigateway:DELETE", "apigateway:GET", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT")
    },
    "AWS::ApiGatewayV2::ApiMapping": {
        _DOMAINS: ("apigateway:DELETE", "apigateway:GET", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT")
    },
    "AWS::ApiGatewayV2::DomainName": {
        _DOMAINS: (
            *("apigateway:AddCertificateToDomain", "apigateway:DELETE", "apigateway:GET", "apigateway:PATCH"),
            *("apigateway:POST", "apigateway:PUT", "apigateway:RemoveCertificateFromDomain"),
        )
    },
    "AWS::ApiGatewayV2::Stage": {
        _APIS: ("apigateway:DELETE", "apigateway:GET", "apigateway:PATCH", "apigateway:POST"),
        # With the tags of the stage, which SAM adds.
        _TAGS: ("apigateway:DELETE", "apigateway:POST"),
        # For the access log (API Gateway, "Configure logging for HTTP APIs").
        "*": (
            *("logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:GetLogDelivery", "logs:ListLogDeliveries"),
            *("logs:UpdateLogDelivery", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies"),
        ),
    },
    "AWS::CloudWatch::Alarm": {
        "arn:aws:cloudwatch:*:*:alarm:whop-chat*": (
            *("cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"),
            *("cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource"),
        )
    },
    # Named by CloudFormation after the resource, not after the stack.
    "AWS::CloudWatch::Dashboard": {
        "arn:aws:cloudwatch::*:dashboard/Dashboard-*": (
            *("cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource"),
            *("cloudwatch:PutDashboard", "cloudwatch:TagResource", "cloudwatch:UntagResource"),
        )
    },
    "AWS::Cognito::UserPool": {
        "*": ("cognito-idp:CreateUserPool",),
        _POOLS: (
            *("cognito-idp:AddCustomAttributes", "cognito-idp:DescribeUserPool", "cognito-idp:GetUserPoolMfaConfig"),
            *("cognito-idp:ListTagsForResource", "cognito-idp:SetUserPoolMfaConfig", "cognito-idp:TagResource"),
            *("cognito-idp:UntagResource", "cognito-idp:UpdateUserPool"),
        ),
    },
    "AWS::Cognito::UserPoolClient": {
        _POOLS: (
            *("cognito-idp:CreateUserPoolClient", "cognito-idp:DescribeUserPoolClient"),
            *("cognito-idp:ListUserPoolClientSecrets", "cognito-idp:UpdateUserPoolClient"),
        )
    },
    "AWS::DynamoDB::Table": {
        "arn:aws:dynamodb:*:*:table/whop-chat*": (
            *("dynamodb:CreateTable", "dynamodb:DescribeContinuousBackups", "dynamodb:DescribeContributorInsights"),
            *("dynamodb:DescribeKinesisStreamingDestination", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive"),
            *("dynamodb:GetResourcePolicy", "dynamodb:ListTagsOfResource", "dynamodb:TagResource"),
            *("dynamodb:UntagResource", "dynamodb:UpdateContinuousBackups", "dynamodb:UpdateTable"),
            "dynamodb:UpdateTimeToLive",
        )
    },
    "AWS::Events::Rule": {
        "arn:aws:events:*:*:rule/whop-chat*": (
            *("events:DeleteRule", "events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"),
            *("events:PutRule", "events:PutTargets", "events:RemoveTargets"),
            *("events:TagResource", "events:UntagResource"),
        )
    },
    "AWS::IAM::Role": {
        "arn:aws:iam::*:role/whop-chat*": (
            *("iam:CreateRole", "iam:DeleteRole", "iam:DeleteRolePermissionsBoundary", "iam:DeleteRolePolicy"),
            *("iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"),
            *("iam:PutRolePermissionsBoundary", "iam:PutRolePolicy", "iam:TagRole", "iam:UntagRole"),
            *("iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription"),
        )
    },
    "AWS::Lambda::Alias": {
        _FUNCTIONS: (
            *("lambda:CreateAlias", "lambda:DeleteAlias", "lambda:GetAlias"),
            *("lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"),
        )
    },
    "AWS::Lambda::EventSourceMapping": {
        # Their ids are unknown before, and Lambda knows a permission to create one by the function only.
        "*": ("lambda:CreateEventSourceMapping",),
        _MAPPINGS: (
            *("lambda:DeleteEventSourceMapping", "lambda:GetEventSourceMapping", "lambda:ListTags"),
            *("lambda:TagResource", "lambda:UntagResource", "lambda:UpdateEventSourceMapping"),
        ),
    },
    "AWS::Lambda::Function": {
        _FUNCTIONS: (
            *("lambda:CreateFunction", "lambda:DeleteFunction", "lambda:DeleteFunctionConcurrency"),
            *("lambda:GetFunction", "lambda:GetFunctionCodeSigningConfig", "lambda:GetFunctionRecursionConfig"),
            *("lambda:GetFunctionScalingConfig", "lambda:GetRuntimeManagementConfig", "lambda:PublishVersion"),
            *("lambda:PutFunctionConcurrency", "lambda:TagResource", "lambda:UntagResource"),
            *("lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
        ),
        _LAYERS: ("lambda:GetLayerVersion",),
        _SAM_BUCKET: ("s3:GetObject",),
    },
    "AWS::Lambda::LayerVersion": {
        _LAYERS: ("lambda:GetLayerVersion", "lambda:PublishLayerVersion"),
        _SAM_BUCKET: ("s3:GetObject",),
    },
    "AWS::Lambda::Permission": {_FUNCTIONS: ("lambda:AddPermission", "lambda:GetPolicy", "lambda:RemovePermission")},
    "AWS::Lambda::Version": {
        _FUNCTIONS: (
            *("lambda:DeleteFunction", "lambda:GetFunctionConfiguration", "lambda:GetFunctionScalingConfig"),
            *("lambda:GetProvisionedConcurrencyConfig", "lambda:GetRuntimeManagementConfig"),
            *("lambda:ListVersionsByFunction", "lambda:PublishVersion"),
        )
    },
    "AWS::Logs::LogGroup": {
        "*": ("logs:DescribeLogGroups", "logs:DescribeResourcePolicies"),
        _LOG_GROUPS: (
            *("logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DeleteRetentionPolicy"),
            *("logs:DescribeIndexPolicies", "logs:DisassociateKmsKey", "logs:GetDataProtectionPolicy"),
            *("logs:ListTagsForResource", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource"),
        ),
    },
    # Logs knows these permissions without a resource only.
    "AWS::Logs::QueryDefinition": {
        "*": ("logs:DeleteQueryDefinition", "logs:DescribeQueryDefinitions", "logs:PutQueryDefinition"),
    },
    # SNS knows the permissions of one subscription without a resource only.
    "AWS::SNS::Subscription": {
        "*": ("sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"),
        _TOPICS: ("sns:Subscribe",),
    },
    "AWS::SNS::Topic": {
        "*": ("sns:Unsubscribe",),
        _TOPICS: (
            *("sns:CreateTopic", "sns:DeleteTopic", "sns:GetDataProtectionPolicy", "sns:GetTopicAttributes"),
            *("sns:ListSubscriptionsByTopic", "sns:ListTagsForResource", "sns:SetTopicAttributes", "sns:Subscribe"),
            *("sns:TagResource", "sns:UntagResource"),
        ),
    },
    "AWS::SNS::TopicPolicy": {_TOPICS: ("sns:SetTopicAttributes",)},
    "AWS::SQS::Queue": {
        "arn:aws:sqs:*:*:whop-chat*": (
            *("sqs:CreateQueue", "sqs:DeleteQueue", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags"),
            *("sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue"),
        )
    },
    "AWS::SQS::QueuePolicy": {"arn:aws:sqs:*:*:whop-chat*": ("sqs:SetQueueAttributes",)},
    "AWS::SecretsManager::Secret": {
        "*": ("secretsmanager:GetRandomPassword",),
        # Named by CloudFormation after the resource, not after the stack.
        ("arn:aws:secretsmanager:*:*:secret:WhopSecret-*", "arn:aws:secretsmanager:*:*:secret:DataKeySecret-*"): (
            *("secretsmanager:CreateSecret", "secretsmanager:DeleteSecret", "secretsmanager:DescribeSecret"),
            *("secretsmanager:TagResource", "secretsmanager:UntagResource", "secretsmanager:UpdateSecret"),
        ),
    },
}
"""What CloudFormation calls for each resource type of the template."""

TOOLS: Grants = {
    "arn:aws:cloudformation:*:*:stack/whop-chat*": (
        *("cloudformation:CreateChangeSet", "cloudformation:DeleteChangeSet", "cloudformation:DeleteStack"),
        *("cloudformation:DescribeChangeSet", "cloudformation:DescribeStackEvents", "cloudformation:DescribeStacks"),
        *("cloudformation:ExecuteChangeSet", "cloudformation:GetTemplate", "cloudformation:GetTemplateSummary"),
        *("cloudformation:UpdateStack", "cloudformation:UpdateTerminationProtection"),
    ),
    # The SAM CLI makes its bucket by a stack of its own.
    "arn:aws:cloudformation:*:*:stack/aws-sam-cli-managed-default/*": (
        *("cloudformation:CreateChangeSet", "cloudformation:DescribeChangeSet", "cloudformation:DescribeStackEvents"),
        *("cloudformation:DescribeStacks", "cloudformation:ExecuteChangeSet"),
    ),
    "arn:aws:cloudformation:*:aws:transform/Serverless-2016-10-31": ("cloudformation:CreateChangeSet",),
    # Looks for the users tables that a stack had before.
    "*": ("tag:GetResources",),
    _SAM_BUCKET: (
        *("s3:CreateBucket", "s3:GetBucketLocation", "s3:GetBucketPolicy", "s3:ListBucket", "s3:PutBucketPolicy"),
        *("s3:PutBucketPublicAccessBlock", "s3:PutBucketTagging", "s3:PutBucketVersioning"),
        *("s3:PutEncryptionConfiguration", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
    ),
}
"""What `make deploy`, `make rollback`, `make delete` and the SAM CLI call themselves."""


def policy() -> dict[str, Any]:
    """The IAM policy: one statement for each set of resources."""
    actions: dict[tuple[str, ...], set[str]] = {}
    for grants in (*RESOURCE_TYPES.values(), TOOLS):
        for resources, names in grants.items():
            key = (resources,) if isinstance(resources, str) else resources
            actions.setdefault(key, set()).update(names)
    statements = [_statement(resources, names) for resources, names in sorted(actions.items())]
    return {"Version": "2012-10-17", "Statement": [*statements, _PASS_ROLES]}


def _statement(resources: tuple[str, ...], actions: set[str]) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": resources[0] if len(resources) == 1 else resources,
    }


# To Lambda only: no other service gets a role of the stack.
_PASS_ROLES = {
    "Effect": "Allow",
    "Action": "iam:PassRole",
    "Resource": "arn:aws:iam::*:role/whop-chat*",
    "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
}


def text() -> str:
    """The policy as the file has it."""
    return f"{json.dumps(policy(), indent=2)}\n"


if __name__ == "__main__":
    FILE.write_text(text())
    sys.stdout.write(f"{FILE.name}: {len(json.dumps(policy(), separators=(',', ':')))} characters\n")
