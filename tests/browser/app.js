/** The page of a small app. `start` signs a user in and makes the client; the tests call the rest. */

import { ChatTokens } from "/client/chat-tokens.js";
import { pushToken } from "/client/push.js";

/** What happened, in order: waits and refreshes, and what the chat was given. */
window.seen = { waits: [], refreshes: 0, shown: [], destroyed: 0 };

window.start = ({ apiUrl, cognitoUrl, userPoolClientId, user, features }) => {
  window.user = { ...user };

  async function cognitoToken({ forceRefresh }) {
    if (forceRefresh) {
      window.seen.refreshes += 1;
      const response = await fetch(cognitoUrl, {
        method: "POST",
        headers: {
          "Content-Type": "application/x-amz-json-1.1",
          "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
        },
        body: JSON.stringify({
          ClientId: userPoolClientId,
          AuthFlow: "REFRESH_TOKEN_AUTH",
          AuthParameters: { REFRESH_TOKEN: window.user.refreshToken },
        }),
      });
      if (window.user.stays) return window.user.accessToken;
      window.user.accessToken = (await response.json()).AuthenticationResult.AccessToken;
    }
    return window.user.accessToken;
  }

  window.tokens = new ChatTokens({
    apiUrl,
    userId: user.sub,
    cognitoToken,
    features,
    onWait: (wait) => window.seen.waits.push(wait),
  });
};

/** Asks for a token, and notes how that ends under `name`. */
window.ask = (name, options) => {
  window[name] = { state: "under way" };
  window.tokens.token(options).then(
    (token) => (window[name] = { state: "token", ...token }),
    ({ kind, code, show, name: error }) => (window[name] = { state: "error", kind, code, show, error }),
  );
};

window.push = () =>
  (window.stop = pushToken(
    window.tokens,
    (accessToken) => {
      window.seen.shown.push(accessToken);
      return {
        update: ({ accessToken }) => window.seen.shown.push(accessToken),
        destroy: () => (window.seen.destroyed += 1),
      };
    },
    (error) => (window.failed = error.code),
  ));
