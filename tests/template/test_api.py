"""The HTTP API: who gets through, what browsers are told, what is logged."""

import json
import re
from typing import Any

import pytest

from tests.template.translation import deployed, template

# What an SDK for tracing adds to a browser's request: without them in the preflight, the browser sends none at all.
TRACING = {"traceparent", "tracestate", "baggage", "sentry-trace"}


def _body(**given: str) -> dict[str, Any]:
    body: dict[str, Any] = deployed(**given)["HttpApi"]["Properties"]["Body"]
    return body


def _authorizer(**given: str) -> dict[str, Any]:
    schemes = _body(**given)["components"]["securitySchemes"]
    authorizer: dict[str, Any] = schemes["CognitoJwt"]["x-amazon-apigateway-authorizer"]
    return authorizer


def test_there_are_three_routes_and_only_the_health_checks_are_open() -> None:
    routes = {
        (method, path): [list(each) for each in operation["security"]]
        for path, methods in _body()["paths"].items()
        for method, operation in methods.items()
    }

    assert routes == {
        ("post", "/chat/token"): [["CognitoJwt"]],
        ("get", "/health"): [["NONE"]],
        ("get", "/health/ready"): [["NONE"]],
    }


def test_the_authorizer_knows_the_pool_and_the_client_of_the_stack() -> None:
    authorizer = _authorizer()

    assert authorizer["type"] == "jwt"
    assert authorizer["identitySource"] == "$request.header.Authorization"
    assert authorizer["jwtConfiguration"]["audience"] == [{"Ref": "UserPoolClient"}]
    assert authorizer["jwtConfiguration"]["issuer"] == {
        "Fn::Sub": [
            "https://${Host}.${AWS::Region}.${AWS::URLSuffix}/${PoolId}",
            {"Host": "cognito-idp", "PoolId": {"Ref": "UserPool"}},
        ]
    }


def test_the_authorizer_knows_the_updated_issuer() -> None:
    issuer = _authorizer(UserPoolIssuer="updated")["jwtConfiguration"]["issuer"]

    assert issuer["Fn::Sub"][1]["Host"] == "issuer-cognito-idp"


def test_the_authorizer_knows_every_client_of_a_named_pool() -> None:
    configuration = _authorizer(UserPoolId="us-east-1_AbCdEfGhI", UserPoolClientIds="web,ios")["jwtConfiguration"]

    assert configuration["audience"] == ["web", "ios"]
    assert configuration["issuer"]["Fn::Sub"][1]["PoolId"] == "us-east-1_AbCdEfGhI"


def test_browsers_of_the_listed_origins_may_call_and_read_what_they_need() -> None:
    cors = _body(AllowedOrigins="https://a.example.test,https://b.example.test")["x-amazon-apigateway-cors"]

    assert cors["allowOrigins"] == ["https://a.example.test", "https://b.example.test"]
    assert set(cors["allowMethods"]) == {"GET", "POST", "DELETE"}
    assert set(cors["allowHeaders"]) == {"authorization", "content-type"} | TRACING
    assert set(cors["exposeHeaders"]) == {"retry-after", "www-authenticate", "date"}
    assert "allowCredentials" not in cors


DOMAIN = {
    "DomainName": "chat.example.test",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/7c9f2f0e",
}


def _closed(**given: str) -> list[bool]:
    servers = _body(**given)["servers"]
    return [each["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"] for each in servers]


def test_a_domain_of_one_s_own_is_the_only_address() -> None:
    resources = deployed(**DOMAIN)

    assert _closed(**DOMAIN) == [True]
    assert resources["ApiDomain"]["Properties"]["DomainName"] == "chat.example.test"
    assert resources["ApiDomain"]["Properties"]["DomainNameConfigurations"] == [
        {
            "CertificateArn": DOMAIN["CertificateArn"],
            "EndpointType": "REGIONAL",
            "SecurityPolicy": "TLS_1_2",
        }
    ]
    assert resources["ApiDomainMapping"]["Properties"] == {
        "ApiId": {"Ref": "HttpApi"},
        "DomainName": {"Ref": "ApiDomain"},
        "Stage": {"Ref": "HttpApiApiGatewayDefaultStage"},
    }


def test_without_a_domain_the_api_has_the_address_of_aws() -> None:
    assert _closed() == [False]
    assert not {"ApiDomain", "ApiDomainMapping"} & deployed().keys()


def test_every_route_is_throttled() -> None:
    assert _throttling() == {"ThrottlingRateLimit": 500, "ThrottlingBurstLimit": 1000}


def test_the_open_route_cannot_keep_the_function_busy() -> None:
    """Each open route has a limit of its own, far below the one that signed-in users share."""
    stage = deployed()["HttpApiApiGatewayDefaultStage"]["Properties"]
    openly = {
        f"{method.upper()} {path}"
        for path, methods in _body()["paths"].items()
        for method, operation in methods.items()
        if {"NONE": []} in operation["security"]
    }

    assert stage["RouteSettings"].keys() == openly
    for limit in stage["RouteSettings"].values():
        assert limit == {"ThrottlingRateLimit": 5, "ThrottlingBurstLimit": 10}


def _throttling() -> dict[str, int]:
    settings: dict[str, int] = deployed()["HttpApiApiGatewayDefaultStage"]["Properties"]["DefaultRouteSettings"]
    return settings


def test_one_user_s_share_is_small_beside_what_the_api_lets_through() -> None:
    """One client that floods is refused by its own limit, long before it has used up the one that all share."""
    mints_per_minute = template()["Parameters"]["MintsPerMinute"]["Default"]

    assert mints_per_minute < 60 * _throttling()["ThrottlingRateLimit"] / 100


def _access_log() -> str:
    stage = deployed()["HttpApiApiGatewayDefaultStage"]["Properties"]
    logged: str = stage["AccessLogSettings"]["Format"]
    return logged


def test_an_access_log_line_is_one_json_object() -> None:
    assert "\n" not in _access_log()
    assert json.loads(_access_log())["status"] == "$context.status"


@pytest.mark.parametrize("personal", ["authorizer", "identity", "path", "domainName", "header", "error"])
def test_the_access_log_does_not_say_who_called(personal: str) -> None:
    variables = re.findall(r"\$context\.([A-Za-z.]+)", _access_log())

    assert not [name for name in variables if name.split(".")[0] == personal]
