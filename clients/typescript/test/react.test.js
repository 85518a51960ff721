/** The hooks, with React, a DOM in memory, Whop's React package 1.2.0 and a stand-in for Whop's script. */

import assert from "node:assert/strict";
import { test } from "node:test";
import whop from "@whop/embedded-components-react-js";
import { Window } from "happy-dom";
import { StrictMode, act, createElement as h } from "react";

const { ChatElement, ChatSession, Elements } = whop;
const window = new Window();
Object.assign(globalThis, { window, document: window.document, navigator: window.navigator, IS_REACT_ACT_ENVIRONMENT: true });
const { createRoot } = await import("react-dom/client");
const { usePullToken, usePushToken } = await import("../src/react.js");

const API = "https://api.example.test";
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const cognito = { user: "ada" };
const cognitoToken = async () => `${part({})}.${part({ sub: cognito.user })}.c`;

/** Lets React and every promise come to rest. A timer of 5 ms runs after those of 0 ms. */
const settled = (change = () => {}, ms = 5) =>
  act(async () => {
    change();
    await new Promise((resolve) => setTimeout(resolve, ms));
  });

/** The service: one answer for each user. */
function serve(answers = {}) {
  const requests = [];
  globalThis.fetch = async (_url, { headers }) => {
    const { sub } = JSON.parse(Buffer.from(headers.Authorization.split(".")[1], "base64url").toString());
    requests.push(sub);
    const problem = answers[sub];
    const time = (minutes) => new Date(Date.now() + minutes * 60_000).toISOString();
    const token = { token: `token of ${sub}`, expires_at: time(60), refresh_after: time(48) };
    return new Response(JSON.stringify(problem ?? token), { status: problem?.status ?? 200 });
  };
  return requests;
}

const READY = { state: "ready" };

/** What Whop's script of 1.2.0 gives: sessions that pull a token at once. */
function whopElements() {
  const sessions = [];
  const createChatSession = ({ token }) => {
    const session = { sources: [token], destroyed: false };
    session.pulled = token({ abortSignal: new AbortController().signal }).catch((error) => error);
    sessions.push(session);
    return Object.assign(session, {
      updateOptions: (options) => session.sources.push(options.token),
      destroy: () => (session.destroyed = true),
      createElement: () => ({ on() {}, off() {}, mount() {}, unmount() {}, updateOptions() {}, getSnapshot: () => READY }),
    });
  };
  return { sessions, elements: Promise.resolve({ createChatSession, updateOptions() {} }) };
}

function PullChat({ userId, elements }) {
  const { token, session, error, retry } = usePullToken({ apiUrl: API, userId, cognitoToken: () => cognitoToken(), elements });
  if (error) return h("button", { onClick: retry }, `${error.kind} ${error.show}`);
  const chat = h(ChatElement, { options: { channelId: "chat_feed_1" } });
  return h(Elements, { elements }, h(ChatSession, { token, ref: session }, chat));
}

function PushChat({ userId, elements }) {
  const { accessToken, error, retry } = usePushToken({ apiUrl: API, userId, cognitoToken, elements });
  if (error) return h("button", { onClick: retry }, `${error.kind} ${error.show}`);
  return h("p", null, accessToken ?? "…");
}

async function shown(t, component, { strict = false, elements, userId = "ada" }) {
  cognito.user = userId;
  const container = document.createElement("div");
  const root = createRoot(container);
  const wrap = (each) => (strict ? h(StrictMode, null, each) : each);
  const render = async (user) => {
    cognito.user = user;
    await settled(() => root.render(wrap(h(component, { key: user, userId: user, elements }))));
  };
  await render(userId);
  const unmount = () => settled(() => root.unmount());
  t.after(unmount);
  return { container, render, unmount };
}

for (const strict of [false, true]) {
  const mode = strict ? "strict mode" : "React";

  test(`pull: a session gets a token, and one source for all renders (${mode})`, async (t) => {
    serve();
    const { sessions, elements } = whopElements();
    const { render } = await shown(t, PullChat, { strict, elements });
    await render("ada");
    await render("ada");
    const session = sessions.find((session) => session.sources.length > 1);
    assert.equal(await session.pulled, "token of ada");
    assert.equal(new Set(session.sources).size, 1);
    assert.equal(session.destroyed, false);
  });

  test(`pull: another user gets a session of their own, and the first one is destroyed (${mode})`, async (t) => {
    serve();
    const { sessions, elements } = whopElements();
    const { render } = await shown(t, PullChat, { strict, elements });
    // In strict mode React makes two sessions and drops one. The one in use is given its source again.
    const first = sessions.find((session) => session.sources.length > 1);
    await render("bob");
    assert.equal(first.destroyed, true);
    assert.equal(await sessions.at(-1).pulled, "token of bob");
    const late = await first.sources.at(-1)({ abortSignal: new AbortController().signal }).catch((error) => error);
    assert.equal(late.kind, "signed-out");
  });

  test(`push: a user gets a token, and the next user their own (${mode})`, async (t) => {
    serve();
    const { container, render } = await shown(t, PushChat, { strict, elements: Promise.resolve({}) });
    assert.equal(container.textContent, "token of ada");
    await render("bob");
    assert.equal(container.textContent, "token of bob");
  });
}

for (const [name, component] of Object.entries({ pull: PullChat, push: PushChat })) {
  test(`${name}: a denied user sees the fallback, and can try again`, async (t) => {
    const requests = serve({ ada: { status: 403, code: "no_verified_email" } });
    const { container } = await shown(t, component, whopElements());
    assert.equal(container.textContent, "denied verify-email");
    serve();
    await settled(() => container.querySelector("button").click());
    assert.equal(container.querySelector("button"), null);
    assert.deepEqual(requests, ["ada"]);
  });

  test(`${name}: a blocked script shows the fallback`, async (t) => {
    serve();
    const elements = Promise.reject(new Error("Failed to load WhopElements"));
    elements.catch(() => {});
    const { container } = await shown(t, component, { elements });
    assert.equal(container.textContent, "broken unavailable");
  });

  test(`${name}: after the component is gone nothing is asked`, async (t) => {
    const requests = serve({ ada: { status: 503, code: "whop_unavailable", retry_after: 0.02 } });
    const { unmount } = await shown(t, component, whopElements());
    await unmount();
    const asked = requests.length;
    await settled(() => {}, 60);
    assert.equal(requests.length, asked);
  });
}
