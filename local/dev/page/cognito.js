/**
 * The user of this page at Cognito. Only the sign-in by SRP is left to this page's server: an app has Amplify for that.
 * Nothing is stored, so a reload of the page is a sign-out.
 */

import { post } from "./control.js";

/** @returns an error with Cognito's own name of it */
async function call(configuration, action, body) {
  const response = await fetch(configuration.cognitoUrl, {
    method: "POST",
    headers: {
      "Content-Type": "application/x-amz-json-1.1",
      "X-Amz-Target": `AWSCognitoIdentityProviderService.${action}`,
    },
    body: JSON.stringify({ ClientId: configuration.userPoolClientId, ...body }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.__type}: ${answer.message}`);
  return answer;
}

export async function signUp(configuration, { email, password, name }) {
  const attributes = { email, ...(name && { name }) };
  const { UserSub } = await call(configuration, "SignUp", {
    Username: email,
    Password: password,
    UserAttributes: Object.entries(attributes).map(([Name, Value]) => ({ Name, Value })),
  });
  return UserSub;
}

export function confirm(configuration, email, code) {
  return call(configuration, "ConfirmSignUp", { Username: email, ConfirmationCode: code });
}

/** A signed-in user. */
export class Session {
  #configuration;
  #tokens;
  email;

  constructor(configuration, email, tokens) {
    this.#configuration = configuration;
    this.#tokens = tokens;
    this.email = email;
  }

  get #claims() {
    return JSON.parse(atob(this.#tokens.accessToken.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
  }

  get userId() {
    return this.#claims.sub;
  }

  /** The option `cognitoToken` of `ChatTokens`. */
  async accessToken({ forceRefresh }) {
    if (forceRefresh || this.#claims.exp * 1000 < Date.now() + 60_000) {
      const { AuthenticationResult } = await call(this.#configuration, "InitiateAuth", {
        AuthFlow: "REFRESH_TOKEN_AUTH",
        AuthParameters: { REFRESH_TOKEN: this.#tokens.refreshToken },
      });
      this.#tokens = { ...this.#tokens, accessToken: AuthenticationResult.AccessToken };
    }
    return this.#tokens.accessToken;
  }
}

export async function signIn(configuration, email, password) {
  return new Session(configuration, email, await post("sign-in", { email, password }));
}
