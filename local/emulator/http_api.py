"""API Gateway HTTP APIs: the OpenAPI body from SAM, CORS, and the gateway's own answers."""

from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import apigateway as gateway
from ministack.services import apigateway_v1 as domains
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from local.emulator.functions import may_invoke
from local.emulator.patching import Function, wrap, wrap_resource

type Answer = tuple[int, dict[str, Any], bytes]


def install() -> None:
    """Apply the patches of this module."""
    wrap_resource(
        provisioners._RESOURCE_HANDLERS, "AWS::ApiGatewayV2::Api", create=_create_from_body, update=_update_from_body
    )
    wrap(gateway, "_jwt_unauthorized", _challenge)
    wrap(lambda_svc, "lambda_execute_result_to_api_proxy_response", _failure_is_500)
    wrap(gateway, "_invoke_lambda_proxy", _around_the_function)
    wrap(gateway, "handle_execute", _by_its_domain_only)


def _create_from_body(stock: Function) -> Function:
    """Stock ignores ``Body``; AWS reads from it every route, integration, authorizer and CORS rule of an HttpApi.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-api.html
    """

    def create(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        created = stock(logical_id, props, stack_name)
        _import_body(created[0], props)
        return created

    return create


def _update_from_body(stock: Function) -> Function:
    def update(physical_id: str, old: Any, new: dict[str, Any], stack_name: str, logical_id: str | None = None) -> Any:
        updated = stock(physical_id, old, new, stack_name, logical_id)
        _import_body(updated[0], new)
        return updated

    return update


def _import_body(api_id: str, props: dict[str, Any]) -> None:
    cors = props.get("CorsConfiguration")
    body = props.get("Body")
    if isinstance(body, dict):
        cors = body.get("x-amazon-apigateway-cors") or cors
        gateway._apis[api_id]["disableExecuteApiEndpoint"] = any(
            (server.get("x-amazon-apigateway-endpoint-configuration") or {}).get("disableExecuteApiEndpoint")
            for server in body.get("servers") or []
        )
        authorizers = _import_authorizers(api_id, body)
        gateway._routes[api_id], gateway._integrations[api_id] = {}, {}
        for path, methods in (body.get("paths") or {}).items():
            for method, operation in (methods or {}).items():
                if isinstance(operation, dict) and operation.get("x-amazon-apigateway-integration"):
                    _import_route(api_id, path, method, operation, authorizers)
    if cors:
        # Stock stores the keys in the template's case but reads them in camel case, so each preflight would be a 403.
        gateway._apis[api_id]["corsConfiguration"] = {key[:1].lower() + key[1:]: value for key, value in cors.items()}


def _import_authorizers(api_id: str, body: dict[str, Any]) -> dict[str, str]:
    """Authorizer ids by the name of their security scheme. This stack uses JWT authorizers only."""
    gateway._authorizers[api_id], ids = {}, {}
    for name, scheme in ((body.get("components") or {}).get("securitySchemes") or {}).items():
        spec = scheme.get("x-amazon-apigateway-authorizer") or {}
        if str(spec.get("type", "")).lower() != "jwt":
            continue
        jwt = spec.get("jwtConfiguration") or {}
        ids[name] = new_uuid()[:8]
        gateway._authorizers[api_id][ids[name]] = {
            "authorizerId": ids[name],
            "authorizerType": "JWT",
            "name": name,
            "identitySource": _as_list(spec.get("identitySource") or "$request.header.Authorization"),
            "jwtConfiguration": {"audience": _as_list(jwt.get("audience") or []), "issuer": jwt.get("issuer", "")},
        }
    return ids


def _import_route(api_id: str, path: str, method: str, operation: dict[str, Any], authorizers: dict[str, str]) -> None:
    integration, integration_id, route_id = operation["x-amazon-apigateway-integration"], new_uuid()[:8], new_uuid()[:8]
    gateway._integrations[api_id][integration_id] = {
        "integrationId": integration_id,
        "integrationType": str(integration.get("type", "aws_proxy")).upper(),
        "integrationUri": integration.get("uri", ""),
        "integrationMethod": integration.get("httpMethod", "POST"),
        "payloadFormatVersion": integration.get("payloadFormatVersion", "2.0"),
        "timeoutInMillis": integration.get("timeoutInMillis", 30000),
        "connectionType": "INTERNET",
    }
    verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
    route = {
        "routeId": route_id,
        "routeKey": "$default" if path == "/$default" else f"{verb} {path}",
        "target": f"integrations/{integration_id}",
        "authorizationType": "NONE",
        "authorizerId": None,
        "authorizationScopes": [],
        "apiKeyRequired": False,
    }
    for requirement in operation.get("security") or []:
        for name, scopes in requirement.items():
            if name in authorizers:
                route |= {"authorizerId": authorizers[name], "authorizationType": "JWT"}
                route["authorizationScopes"] = list(scopes or [])
            elif name != "NONE":
                raise ValueError(f"route {route['routeKey']}: unknown security scheme {name}")
    gateway._routes[api_id][route_id] = route


def _by_its_domain_only(stock: Function) -> Function:
    """Stock answers under the execute-api address even if it is disabled; on AWS only the domain answers.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-disable-default-endpoint.html
    """

    async def execute(
        api_id: str, stage: str, path: str, method: str, headers: dict[str, str], *args: Any, **kwargs: Any
    ) -> Answer:
        host = headers.get("host", "").partition(":")[0].lower()
        closed = gateway._apis.get(api_id, {}).get("disableExecuteApiEndpoint")
        if closed and domains.resolve_base_path_mapping(host, path) is None:
            return 404, {"Content-Type": "application/json"}, b'{"message":"Not Found"}'
        answer: Answer = await stock(api_id, stage, path, method, headers, *args, **kwargs)
        return answer

    return execute


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _challenge(stock: Function) -> Function:
    """Stock's 401 has no challenge; AWS's JWT authorizer adds ``www-authenticate: Bearer`` (RFC 6750, section 3).

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-jwt.html
    """

    def unauthorized(*args: Any, **kwargs: Any) -> Answer:
        status, headers, body = stock(*args, **kwargs)
        return status, {**headers, "WWW-Authenticate": "Bearer"}, body

    return unauthorized


_FAILED = '{"message":"Internal Server Error"}'


def _failure_is_500(stock: Function) -> Function:
    """Stock answers a failed function with 502 and the exception's text; AWS answers 500 and a fixed message.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-lambda.html
    """

    def convert(result: dict[str, Any]) -> Any:
        if result.get("error") and not result.get("throttle"):
            return {"statusCode": 500, "headers": {"Content-Type": "application/json"}, "body": _FAILED}, None
        return stock(result)

    return convert


def _around_the_function(stock: Function) -> Function:
    """AWS checks the function's policy before the call and replaces CORS headers after it; stock does neither.

    Before: if the function's resource policy does not allow the API to call it, the answer is a 500.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-lambda.html
    After: if the API has a CORS configuration, the function's own CORS headers are dropped.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
    """

    async def invoke(
        integration: dict[str, Any], api_id: str, stage: str, path: str, method: str, *args: Any, **kwargs: Any
    ) -> Answer:
        function = gateway._extract_lambda_ref_from_integration_uri(integration.get("integrationUri", ""))
        scope = kwargs["owner_region"], kwargs["owner_account_id"]
        if not may_invoke(
            function, "apigateway.amazonaws.com", gateway.execute_api_arn(*scope, api_id, stage, method, path)
        ):
            return 500, {"Content-Type": "application/json"}, _FAILED.encode()
        status, headers, body = await stock(integration, api_id, stage, path, method, *args, **kwargs)
        if gateway._apis[api_id].get("corsConfiguration"):
            headers = {name: value for name, value in headers.items() if not name.lower().startswith("access-control-")}
        return status, headers, body

    return invoke
