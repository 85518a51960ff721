"""Cognito user pools: triggers, confirmation, and updates that reset the settings they leave out."""

import contextvars
import json
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import apigateway, cognito, lambda_svc
from ministack.services.cloudformation import provisioners

from local.emulator import pool_updates
from local.emulator.functions import may_invoke
from local.emulator.patching import Function, wrap, wrap_resource

type Pool = dict[str, Any]
type Answer = tuple[int, dict[str, Any], bytes]

_by_cloudformation = contextvars.ContextVar("by_cloudformation", default=False)


def install() -> None:
    """Apply the patches of this module."""
    wrap(cognito, "_confirm_sign_up", _confirmed_by_code)
    wrap(cognito, "_admin_confirm_sign_up", _confirmed_by_admin)
    wrap(cognito, "_confirm_forgot_password", _password_reset)
    wrap(cognito, "_password_auth_result", _signed_in)
    wrap(cognito, "_create_user_pool", _with_every_setting)
    wrap(cognito, "_update_user_pool", _reset_what_is_omitted)
    wrap(cognito, "_pool_out", _without_mfa_settings)
    wrap_resource(provisioners._RESOURCE_HANDLERS, "AWS::Cognito::UserPool", update=_keeping_its_tags)
    wrap(cognito, "_signed_jwt", _issued_as_the_pool_says)
    wrap(apigateway, "_resolve_jwks_url", _keys_of_either_issuer)
    # Stock ignores these properties of AWS::Cognito::UserPool; CloudFormation sets them.
    provisioners._COGNITO_USER_POOL_UPDATABLE.update({name: pool_updates.DEFAULTS[name] for name in _NOT_IN_STOCK})


def _confirmed_by_code(stock: Function) -> Function:
    """Stock does not set ``email_verified`` and does not run PostConfirmation; AWS does both.

    On AWS the code verifies the address, and the trigger runs before the client gets its answer.
    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-post-confirmation.html
    """

    def confirm(data: dict[str, Any]) -> Answer:
        answer: Answer = stock(data)
        pool, pool_id = cognito._pool_for_client(data.get("ClientId"))
        user = _user(pool, data)
        if answer[0] >= 400 or user is None:
            return answer
        if "email" in (pool.get("AutoVerifiedAttributes") or []):
            verified = [{"Name": "email_verified", "Value": "true"}]
            user["Attributes"] = cognito._merge_attributes(user.get("Attributes", []), verified)
        return _post_confirmation(pool_id, pool, user, "PostConfirmation_ConfirmSignUp", data) or answer

    return confirm


def _confirmed_by_admin(stock: Function) -> Function:
    """Stock confirms a confirmed user again, and runs no trigger; AWS refuses, and runs PostConfirmation.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminConfirmSignUp.html
    """

    def confirm(data: dict[str, Any]) -> Answer:
        pool_id = data.get("UserPoolId", "")
        pool = cognito._user_pools.get(pool_id)
        user = _user(pool, data)
        if user is not None and user.get("UserStatus") != "UNCONFIRMED":
            message = f"User cannot be confirmed. Current status is {user.get('UserStatus')}"
            refused: Answer = error_response_json("NotAuthorizedException", message, 400)
            return refused
        answer: Answer = stock(data)
        if answer[0] >= 400 or user is None:
            return answer
        return _post_confirmation(pool_id, pool, user, "PostConfirmation_ConfirmSignUp", data) or answer

    return confirm


def _password_reset(stock: Function) -> Function:
    """Stock runs no trigger; AWS runs PostConfirmation, with another trigger source.

    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-post-confirmation.html
    """

    def confirm(data: dict[str, Any]) -> Answer:
        answer: Answer = stock(data)
        pool, pool_id = cognito._pool_for_client(data.get("ClientId"))
        user = _user(pool, data)
        if answer[0] >= 400 or user is None:
            return answer
        return _post_confirmation(pool_id, pool, user, "PostConfirmation_ConfirmForgotPassword", data) or answer

    return confirm


def _signed_in(stock: Function) -> Function:
    """Stock never runs PostAuthentication; AWS runs it before it returns the tokens.

    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-post-authentication.html
    """

    def result(pool: Pool, pool_id: str, client_id: str, user: Any, username: str, *args: Any, **kwargs: Any) -> Answer:
        answer: Answer = stock(pool, pool_id, client_id, user, username, *args, **kwargs)
        if answer[0] >= 400 or b"AuthenticationResult" not in answer[2]:
            return answer
        request: dict[str, Any] = {"newDeviceUsed": False}
        if kwargs.get("client_metadata"):
            request["clientMetadata"] = kwargs["client_metadata"]
        event = _event(pool_id, user, "PostAuthentication_Authentication", client_id, request)
        return _run_trigger(pool, "PostAuthentication", event) or answer

    return result


def _user(pool: Pool | None, data: dict[str, Any]) -> dict[str, Any] | None:
    user: dict[str, Any] | None = cognito._resolve_user(pool, data.get("Username"))[0] if pool else None
    return user


def _post_confirmation(
    pool_id: str, pool: Pool, user: dict[str, Any], source: str, data: dict[str, Any]
) -> Answer | None:
    request = {"clientMetadata": data["ClientMetadata"]} if data.get("ClientMetadata") else {}
    client_id = data.get("ClientId") or "CLIENT_ID_NOT_APPLICABLE"
    return _run_trigger(pool, "PostConfirmation", _event(pool_id, user, source, client_id, request))


def _event(pool_id: str, user: dict[str, Any], source: str, client_id: str, request: dict[str, Any]) -> dict[str, Any]:
    attributes = cognito._attr_list_to_dict(user.get("Attributes", []))
    status = {"cognito:user_status": user.get("UserStatus", "CONFIRMED")}
    return {
        "version": "1",
        "region": cognito._pool_region(pool_id),
        "userPoolId": pool_id,
        "userName": user["Username"],
        "triggerSource": source,
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": client_id},
        "request": {"userAttributes": {**attributes, **status}, **request},
        "response": {},
    }


def _run_trigger(pool: Pool, kind: str, event: dict[str, Any]) -> Answer | None:
    """Run a trigger, if the pool has it. Returns the error that the client gets, or None.

    The trigger can name a version or an alias of the function. The function's resource policy must allow Cognito to
    call it for this pool. Without an answer within five seconds, AWS calls again, up to three times in all; here the
    function's own timeout ends the call.
    https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html
    """
    arn = (pool.get("LambdaConfig") or {}).get(kind)
    if not arn:
        return None
    function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if function is None or not may_invoke(arn, "cognito-idp.amazonaws.com", pool["Arn"]):
        return _refusal("UnexpectedLambdaException", f"{kind} invocation failed: no such function, or no permission.")
    record = lambda_svc._execution_record_for_config(function, config)
    result = lambda_svc._execute_function_with_config_scope(record, event)
    if result.get("error"):
        reason = (result.get("body") or {}).get("errorMessage", "unknown")
        return _refusal("UserLambdaValidationException", f"{kind} failed with error {reason}.")
    if not isinstance(result.get("body"), dict):
        return _refusal("InvalidLambdaResponseException", "Unrecognizable lambda output")
    return None


def _refusal(code: str, message: str) -> Answer:
    refusal: Answer = error_response_json(code, message, 400)
    return refusal


def _with_every_setting(stock: Function) -> Function:
    """Stock loses the newest settings, and returns a setting with two names under one; AWS returns all and both.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_CreateUserPool.html
    """

    def create(data: dict[str, Any]) -> Any:
        answer: Answer = stock(data)
        if answer[0] >= 400:
            return answer
        pool = cognito._user_pools[json.loads(answer[2])["UserPool"]["Id"]]
        for name in _NOT_IN_STOCK:
            pool[name] = data.get(name, pool_updates.DEFAULTS[name])
        pool.update(pool_updates.with_second_names(pool))
        return json_response({"UserPool": cognito._pool_out(pool)})

    return create


def _reset_what_is_omitted(stock: Function) -> Function:
    """Stock keeps a setting that the update leaves out; AWS resets it to its default.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html
    """

    def update(data: dict[str, Any]) -> Any:
        refusal = pool_updates.refusal(_without_system_tags(data) if _by_cloudformation.get() else data)
        if refusal:
            return _refusal("InvalidParameterException", refusal)
        settings = pool_updates.settings(data)
        answer: Answer = stock({**data, **settings})
        if answer[0] < 400:
            pool = cognito._user_pools[data["UserPoolId"]]
            pool.update({name: settings[name] for name in _NOT_IN_STOCK}, Name=data.get("PoolName", pool["Name"]))
        return answer

    return update


def _keeping_its_tags(stock: Function) -> Function:
    """CloudFormation may write the ``aws:`` tags that it gives a pool. No other caller of UpdateUserPool may.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html
    """

    def update(*args: Any, **kwargs: Any) -> Any:
        token = _by_cloudformation.set(True)
        try:
            return stock(*args, **kwargs)
        finally:
            _by_cloudformation.reset(token)

    return update


def _without_system_tags(data: dict[str, Any]) -> dict[str, Any]:
    tags = {key: value for key, value in data.get("UserPoolTags", {}).items() if not key.startswith("aws:")}
    return {**data, "UserPoolTags": tags}


def _without_mfa_settings(stock: Function) -> Function:
    """Stock returns MFA settings from DescribeUserPool; on AWS only GetUserPoolMfaConfig returns them.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UserPoolType.html
    """

    def out(pool: Pool) -> Pool:
        return {name: value for name, value in stock(pool).items() if name not in _MFA_SETTINGS}

    return out


def _issued_as_the_pool_says(stock: Function) -> Function:
    """Stock writes the original issuer into every token; AWS writes that of the pool's IssuerConfiguration.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_IssuerConfigurationType.html
    """

    def signed(claims: dict[str, Any], pool_id: str = "", use: str = "") -> Any:
        pool = cognito._user_pools.get(pool_id) or {}
        if (pool.get("IssuerConfiguration") or {}).get("Type") == "UPDATED":
            claims = claims | {"iss": claims["iss"].replace(_ORIGINAL, _UPDATED)}
        return stock(claims, pool_id, use)

    return signed


def _keys_of_either_issuer(stock: Function) -> Function:
    """Stock knows the keys of the original issuer only. Whether API Gateway finds those of the other is not proven."""

    async def url(authorizer: dict[str, Any]) -> Any:
        tokens = authorizer["jwtConfiguration"]
        return await stock({"jwtConfiguration": tokens | {"issuer": tokens["issuer"].replace(_UPDATED, _ORIGINAL)}})

    return url


_ORIGINAL, _UPDATED = "https://cognito-idp.", "https://issuer-cognito-idp."
_NOT_IN_STOCK = ("IssuerConfiguration", "KeyConfiguration")
_MFA_SETTINGS = (
    "EmailMfaConfiguration",
    "SmsMfaConfiguration",
    "SoftwareTokenMfaConfiguration",
    "WebAuthnConfiguration",
)
