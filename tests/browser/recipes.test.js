/** The recipes of docs/dev.md and docs/clients.md, each as an app has it, in a browser against the running stack. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { build } from "esbuild";
import Whop from "@whop/sdk";
import { InMemoryWebStorage, OidcClient, WebStorageStateStore } from "oidc-client-ts";

import { send } from "./steps.js";
import { ALLOWED_ORIGIN, configuration, control, here, newUser, serveApp, simulator, startBrowser } from "./world.js";

const GUIDE = await readFile(here("../../docs/dev.md"), "utf8");
const CLIENTS = await readFile(here("../../docs/clients.md"), "utf8");
const CLIENT = here("../../clients/typescript");

/** The code of the section that a heading begins. */
function recipe(heading, guide = GUIDE) {
  const section = guide.split(/^##+ /m).find((each) => each.startsWith(`${heading}\n`));
  return section.match(/^```(?:js|tsx)\n(.*?)^```$/ms)[1];
}

/** A recipe as one script: it finds the stack's values as globals, and its exports are `window.recipe`. */
async function bundle(code, values) {
  const globals = Object.entries(values).map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`);
  const { outputFiles } = await build({
    stdin: { contents: `${globals.join("\n")}\n${code}`, resolveDir: here("."), loader: "tsx" },
    bundle: true,
    format: "iife",
    globalName: "recipe",
    platform: "browser",
    define: { global: "globalThis" },
    jsx: "automatic",
    alias: { "whop-chat-auth-client/react": `${CLIENT}/src/react.js` },
    nodePaths: [`${CLIENT}/node_modules`], // React, and Whop's package for it
    write: false,
    logLevel: "error",
  });
  return outputFiles[0].text;
}

let browser;
let user;
let values;

before(async () => {
  browser = await startBrowser();
  user = await newUser();
  const { cognitoUrl, apiUrl, userPoolId, userPoolClientId, region } = await configuration();
  values = { cognitoUrl, apiUrl, userPoolId, userPoolClientId, region, appUrl: ALLOWED_ORIGIN };
});

after(() => browser.close());

const PAGE = '<!doctype html><meta charset="utf-8"><title>A recipe</title><script src="/recipe.js"></script>';

async function open(heading) {
  const code = `${recipe(heading)}\nexport { ChatTokens } from "../../clients/typescript/src/chat-tokens.js";`;
  const close = await serveApp(ALLOWED_ORIGIN, { "/recipe.js": await bundle(code, values), page: PAGE });
  const page = await (await browser.newContext()).newPage();
  await page.goto(ALLOWED_ORIGIN);
  await page.waitForFunction(() => window.recipe);
  return { page, close };
}

/** The chat token that the client gets with the recipe's `cognitoToken`, also after a forced refresh. */
async function chatToken(page) {
  return page.evaluate(async ({ apiUrl, userId }) => {
    const { ChatTokens, cognitoToken } = window.recipe;
    if (!(await cognitoToken({ forceRefresh: true }))) throw new Error("no token after a refresh");
    return (await new ChatTokens({ apiUrl, userId, cognitoToken }).token()).token;
  }, { apiUrl: values.apiUrl, userId: user.sub });
}

for (const heading of ["aws-amplify", "amazon-cognito-identity-js", "The AWS SDK"]) {
  test(heading, async () => {
    const { page, close } = await open(heading);
    try {
      await page.evaluate(({ email, password }) => window.recipe.signIn(email, password), user);
      assert.match(await chatToken(page), /./);
    } finally {
      await close();
    }
  });
}

test("oidc-client-ts", async () => {
  const { page, close } = await open("oidc-client-ts");
  try {
    await page.evaluate(() => void window.recipe.signIn());
    await page.waitForSelector("[name=password]");
    await page.fill("[name=username]", user.email);
    await page.fill("[name=password]", user.password);
    await page.press("[name=password]", "Enter");
    await page.waitForURL(`${ALLOWED_ORIGIN}/callback**`);
    await page.waitForFunction(() => window.recipe);
    assert.equal(await page.evaluate(async () => (await window.recipe.comeBack()).profile.sub), user.sub);
    assert.match(await chatToken(page), /./);
  } finally {
    await close();
  }
});

test("Whop's own loader for the embedded components takes the client's tokens", async () => {
  const { whopUrl, channelId } = await configuration();
  const code = `
    import { loadWhopElements } from "@whop/embedded-components-vanilla-js";
    import { ChatTokens } from "../../clients/typescript/src/chat-tokens.js";
    import { pullToken } from "../../clients/typescript/src/pull.js";

    export async function chat(user) {
      const tokens = new ChatTokens({ apiUrl, userId: user.sub, cognitoToken: async () => user.accessToken });
      const elements = await loadWhopElements();
      const session = elements.createChatSession({ token: pullToken(tokens) });
      session.createElement("chat-element", { channelId }).mount("#chat");
    }`;
  const page = `<!doctype html><title>Whop's loader</title><div id="chat"></div>
    <script src="${whopUrl}/elements/embedded-components.js"></script><script src="/recipe.js"></script>`;
  const close = await serveApp(ALLOWED_ORIGIN, { "/recipe.js": await bundle(code, { ...values, channelId }), page });
  try {
    const opened = await (await browser.newContext()).newPage();
    await opened.goto(ALLOWED_ORIGIN);
    await opened.evaluate((user) => window.recipe.chat(user), user);
    await send(opened.frameLocator("#chat iframe"), "Hello by Whop's loader");
  } finally {
    await close();
  }
});

test("the React component shows each user a chat of their own, and a denied user none", async () => {
  const { whopUrl, channelId } = await configuration();
  const code = `
    ${recipe("React", CLIENTS)}
    import { Amplify } from "aws-amplify";
    import { getCurrentUser, signIn, signOut } from "aws-amplify/auth";
    import { StrictMode } from "react";
    import { createRoot } from "react-dom/client";

    Amplify.configure({ Auth: { Cognito: { userPoolId, userPoolClientId, userPoolEndpoint: cognitoUrl } } });
    const Fallback = ({ show }) => <p>{show}</p>;
    const root = createRoot(document.getElementById("chat"));

    export async function open(username, password) {
      await signOut();
      await signIn({ username, password });
      const { userId } = await getCurrentUser();
      root.render(<StrictMode><Chat key={userId} userId={userId} channelId={channelId} /></StrictMode>);
    }`;
  const page = `<!doctype html><title>React</title><div id="chat"></div>
    <script src="${whopUrl}/elements/embedded-components.js"></script><script src="/recipe.js"></script>`;
  const close = await serveApp(ALLOWED_ORIGIN, { "/recipe.js": await bundle(code, { ...values, channelId }), page });
  try {
    const opened = await (await browser.newContext()).newPage();
    await opened.goto(ALLOWED_ORIGIN);
    const open = ({ email, password }) =>
      opened.evaluate((user) => window.recipe.open(user.email, user.password), { email, password });
    const chat = opened.frameLocator("#chat iframe");
    const users = [await newUser("Ada of React"), await newUser("Bob of React")];
    for (const { name, ...each } of users) {
      await open(each);
      await send(chat, `Hello by ${name}`);
      await chat.locator("li", { hasText: `Hello by ${name}` }).locator("b", { hasText: name }).waitFor();
      assert.equal(await opened.locator("#chat iframe").count(), 1);
      assert.ok(await opened.locator("#chat iframe").isVisible());
    }
    await control("user", { what: "deny", sub: users[0].sub });
    await open(users[0]);
    await opened.getByText("not-allowed", { exact: true }).waitFor();
    assert.equal(await opened.locator("#chat iframe").count(), 0);
  } finally {
    await close();
  }
});

test("Whop's own SDK sends a message with the token", async () => {
  const { apiUrl } = values;
  const { channelId, whopUrl } = await configuration();
  const response = await fetch(`${apiUrl}/chat/token`, {
    method: "POST",
    headers: { Authorization: `Bearer ${user.accessToken}` },
  });
  const whop = new Whop({ apiKey: (await response.json()).token, baseURL: `${whopUrl}/api/v1` });
  const message = await whop.messages.create({ channel_id: channelId, content: "Hello by the SDK" });

  assert.equal(message.content, "Hello by the SDK");
});

test("oidc-client-ts signs in at Whop's simulator, refreshes and reads who it is", async () => {
  const { whopUrl, channelId } = await configuration();
  const [client_id, redirect_uri] = ["app_Oidc", "https://app.example.test/callback"];
  await simulator("POST", "oauth_apps", { client_id, redirect_uris: [redirect_uri] });
  await simulator("PATCH", "readings", { oauth_body: "either" }); // the library sends forms
  const client = new OidcClient({
    authority: whopUrl,
    client_id,
    redirect_uri,
    scope: "openid profile email chat:read chat:message:create",
    loadUserInfo: true,
    stateStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
  });
  const { url } = await client.createSigninRequest({ nonce: "once" });
  const form = new URLSearchParams([...new URL(url).searchParams, ["email", "oidc@people.example.test"], ["decision", "allow"]]);
  const decided = await fetch(new URL("/oauth/authorize", url), { method: "POST", body: form, redirect: "manual" });
  const { state, ...signedIn } = await client.processSigninResponse(decided.headers.get("location"));
  const refreshed = await client.useRefreshToken({ state: { ...signedIn, data: {}, session_state: null } });
  const whop = new Whop({ apiKey: refreshed.access_token, baseURL: `${whopUrl}/api/v1` });

  assert.notEqual(refreshed.refresh_token, signedIn.refresh_token);
  const message = await whop.messages.create({ channel_id: channelId, content: "Hello by oidc-client-ts" });
  assert.equal(message.user.id, signedIn.profile.sub);
});
