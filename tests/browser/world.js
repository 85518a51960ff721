/** What the browser tests share: Chromium without a network, an app's page on an origin of its own, and users. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

/** Set by tests/clients/test_browsers.py: the page of `make dev`, an origin that the API allows, and one that it does not. */
export const { PAGE_URL, ALLOWED_ORIGIN, OTHER_ORIGIN } = process.env;

const CLIENT = new URL("../../clients/typescript/src/", import.meta.url);
const LOOPBACK = ["127.0.0.1", "localhost"];

// ---------------------------------------------------------------------------------------------------- the browser

/**
 * Starts Chromium, which can resolve no name but those of this machine. `close` fails if a page asked another host, or if
 * anything in the browser connected to another machine.
 */
export async function startBrowser() {
  const folder = await mkdtemp(join(tmpdir(), "browser-"));
  const log = join(folder, "net-log.json");
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: [
      `--host-resolver-rules=MAP * ~NOTFOUND, ${LOOPBACK.map((name) => `EXCLUDE ${name}`).join(", ")}`,
      `--log-net-log=${log}`,
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    ],
  });
  const asked = new Set();
  return {
    async newContext(options) {
      const context = await browser.newContext(options);
      context.on("request", (request) => asked.add(new URL(request.url()).hostname));
      return context;
    },
    async close() {
      await browser.close();
      const { constants, events } = JSON.parse(await readFile(log, "utf8"));
      await rm(folder, { recursive: true });
      const of = (name) => events.filter(({ type }) => type === constants.logEventTypes[name]);
      const connected = new Set(of("TCP_CONNECT_ATTEMPT").flatMap(({ params }) => params?.address ?? []));
      assert.deepEqual([...asked].filter((host) => host && !LOOPBACK.includes(host)), [], "a page asked another host");
      assert.ok(connected.size > 0, "the browser's log has its connections");
      assert.deepEqual([...connected].filter((address) => !/^(127\.0\.0\.1|\[::1\]):\d+$/.test(address)), []);
      assert.deepEqual(of("UDP_BYTES_SENT"), []);
    },
  };
}

// ---------------------------------------------------------------------------------------------------- an app

const TYPES = { js: "text/javascript", html: "text/html" };
const APP = '<!doctype html><meta charset="utf-8"><title>An app</title><div id="chat"></div><script type="module" src="/app.js"></script>';

/** Serves an app's page at an origin. `bundles` are scripts by their path. */
export async function serveApp(origin, bundles = {}) {
  const { port, hostname } = new URL(origin);
  const server = createServer(async ({ url }, response) => {
    const path = url.split("?")[0];
    const answer = (body, type) => response.writeHead(200, { "Content-Type": TYPES[type] }).end(body);
    try {
      if (path in bundles) return answer(bundles[path], "js");
      if (path === "/app.js") return answer(await readFile(new URL("app.js", import.meta.url)), "js");
      if (path.startsWith("/client/")) return answer(await readFile(new URL(path.slice(8), CLIENT)), "js");
      return answer(bundles.page ?? APP, "html");
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(Number(port), hostname, resolve));
  return () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve)));
}

/** An open page of the app, with `user` signed in. */
export async function openApp(context, user, { origin = ALLOWED_ORIGIN, clock = false, features } = {}) {
  const page = await context.newPage();
  if (clock) await page.clock.install();
  await page.goto(origin);
  await page.waitForFunction(() => window.start);
  await page.evaluate((options) => window.start(options), { ...(await configuration()), user, features });
  return page;
}

// ---------------------------------------------------------------------------------------------------- the stack

export async function control(what, body) {
  const response = await fetch(`${PAGE_URL}/control/${what}`, {
    method: body ? "POST" : "GET",
    headers: { "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

let known;
export const configuration = async () => (known ??= await control("configuration"));

export const breakIt = (what) => control("break", { what });

/** Controls the Whop simulator itself. */
export async function simulator(method, what, body) {
  const { whopUrl } = await configuration();
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(`${whopUrl}/_simulator/${what}`, { method, headers, body: body && JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

async function cognito(action, body) {
  const { cognitoUrl, userPoolClientId } = await configuration();
  const response = await fetch(cognitoUrl, {
    method: "POST",
    headers: {
      "Content-Type": "application/x-amz-json-1.1",
      "X-Amz-Target": `AWSCognitoIdentityProviderService.${action}`,
    },
    body: JSON.stringify({ ClientId: userPoolClientId, ...body }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(JSON.stringify(answer));
  return answer;
}

/** A new user who has signed up and in, with a name or without. */
export async function newUser(name) {
  const email = `grace-${randomUUID()}@people.example.test`;
  const password = `Aa1!${randomUUID()}`;
  const { UserSub: sub } = await cognito("SignUp", {
    Username: email,
    Password: password,
    UserAttributes: [{ Name: "email", Value: email }, ...(name ? [{ Name: "name", Value: name }] : [])],
  });
  const mail = (await control("mails")).find(({ to }) => to === email);
  await cognito("ConfirmSignUp", { Username: email, ConfirmationCode: mail.text.match(/\b\d{6}\b/)[0] });
  return { name, email, password, sub, ...(await control("sign-in", { email, password })) };
}

/** The token with a signature that is nobody's. */
export const forged = (token) => `${token.slice(0, token.lastIndexOf("."))}.${"A".repeat(342)}`;

export const here = (path) => fileURLToPath(new URL(path, import.meta.url));
