/** The client of clients/typescript in a browser, against the running stack. */

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import {
  ALLOWED_ORIGIN,
  OTHER_ORIGIN,
  PAGE_URL,
  breakIt,
  configuration,
  control,
  forged,
  newUser,
  openApp,
  serveApp,
  startBrowser,
} from "./world.js";

const MINUTE = 60_000;

let browser;
let context;
let closeApps;
let user;

before(async () => {
  browser = await startBrowser();
  closeApps = await Promise.all([ALLOWED_ORIGIN, OTHER_ORIGIN].map((origin) => serveApp(origin)));
  user = await newUser();
});

beforeEach(async () => {
  context = await browser.newContext();
});

afterEach(async () => {
  await context.close();
  await breakIt("repair");
  await breakIt("unreadable-401");
});

after(async () => {
  for (const close of closeApps) await close();
  await browser.close();
});

/** How the call `name` of `ask` ends. */
async function ending(page, name = "call") {
  await page.waitForFunction((name) => window[name].state !== "under way", name, { polling: 50 });
  return page.evaluate((name) => window[name], name);
}

/** The first wait whose code is `code`. */
async function waitFor(page, code) {
  const found = await page.waitForFunction((code) => window.seen.waits.find((wait) => wait.code === code), code, {
    polling: 50,
  });
  return found.jsonValue();
}

test("an allowed origin gets a token by a preflight", async () => {
  const page = await openApp(context, user, { features: ["channels"] });
  const [request] = await Promise.all([
    page.waitForRequest((request) => request.url().endsWith("/chat/token") && request.method() === "POST"),
    page.evaluate(() => ask("call")),
  ]);

  assert.equal((await ending(page)).state, "token");
  assert.deepEqual((await (await request.response()).json()).scopes, ["chat:message:create", "chat:read"]);
});

test("another origin sees a network error, and the client waits", async () => {
  const page = await openApp(context, user, { origin: OTHER_ORIGIN });
  await page.evaluate(() => ask("call"));

  assert.ok((await waitFor(page, "network")).ms > 0);
});

for (const readable of [false, true]) {
  test(`one refresh helps after the gateway's ${readable ? "readable" : "unreadable"} 401`, async () => {
    await breakIt(readable ? "readable-401" : "unreadable-401");
    const page = await openApp(context, { ...user, accessToken: forged(user.accessToken) });
    await page.evaluate(() => ask("call"));

    assert.equal((await ending(page)).state, "token");
    assert.equal(await page.evaluate(() => seen.refreshes), 1);
  });
}

test("a readable 401 after the refresh says that the user is signed out", async () => {
  await breakIt("readable-401");
  const page = await openApp(context, { ...user, accessToken: forged(user.accessToken), stays: true });
  await page.evaluate(() => ask("call"));

  const { kind, code, show } = await ending(page);
  assert.deepEqual({ kind, code, show }, { kind: "signed-out", code: "http_401", show: "sign-in" });
  assert.equal(await page.evaluate(() => seen.refreshes), 1);
});

test("an error's body is read across origins: a denied user is told", async () => {
  const denied = await newUser();
  const page = await openApp(context, denied);
  await page.evaluate(() => ask("first"));
  await ending(page, "first");
  await control("user", { what: "deny", sub: denied.sub });
  const again = await openApp(context, denied);
  await again.evaluate(() => ask("call"));

  const { kind, code, show } = await ending(again);
  assert.deepEqual({ kind, code, show }, { kind: "denied", code: "user_denied", show: "not-allowed" });
});

test("the chat gets the next token before the first expires", async () => {
  const page = await openApp(context, user, { clock: true });
  await page.evaluate(() => push());
  await page.waitForFunction(() => seen.shown.length === 1);
  await page.clock.fastForward(50 * MINUTE);
  await page.waitForFunction(() => seen.shown.length === 2);

  assert.equal(new Set(await page.evaluate(() => seen.shown)).size, 2);
});

test("after a sleep the chat gets a new token at once", async () => {
  const page = await openApp(context, user, { clock: true });
  await page.evaluate(() => push());
  await page.waitForFunction(() => seen.shown.length === 1);
  await page.clock.setSystemTime(Date.now() + 600 * MINUTE); // no timer has run meanwhile
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));

  await page.waitForFunction(() => seen.shown.length === 2);
});

test("two tabs of a user do not disturb each other", async () => {
  const tabs = [await openApp(context, user), await openApp(context, user)];
  for (const tab of tabs) await tab.evaluate(() => ask("call"));
  const [one, other] = await Promise.all(tabs.map((tab) => ending(tab)));
  await tabs[0].evaluate(() => tokens.close());
  await tabs[1].evaluate(() => ask("again"));

  assert.notEqual(one.token, other.token);
  assert.equal((await ending(tabs[1], "again")).token, other.token);
});

test("offline nothing is asked, and online again it goes on", async () => {
  const page = await openApp(context, user);
  await context.setOffline(true);
  await page.waitForFunction(() => !navigator.onLine);
  await page.evaluate(() => ask("call"));
  await waitFor(page, "offline");
  assert.equal(await page.evaluate(() => seen.refreshes), 0);
  await context.setOffline(false);

  assert.equal((await ending(page)).state, "token");
});

test("a sign-out in the middle of a call ends it, and no token comes", async () => {
  await breakIt("slow");
  const page = await openApp(context, user);
  const asked = page.waitForRequest((request) => request.url().endsWith("/chat/token") && request.method() === "POST");
  await page.evaluate(() => ask("call"));
  const request = await asked;
  const failed = page.waitForEvent("requestfailed", (each) => each === request);
  await page.evaluate(() => tokens.close());

  assert.equal((await ending(page)).code, "signed_out");
  await failed;
});

test("another user in the middle of a call is never asked for", async () => {
  const other = await newUser();
  const page = await openApp(context, user);
  await page.evaluate((other) => (window.user.accessToken = other.accessToken), other);
  await page.evaluate(() => ask("call"));

  assert.equal((await ending(page)).code, "other_user");
});

test("an abort rejects that caller only, and both had one request", async () => {
  await breakIt("slow");
  const page = await openApp(context, user);
  const requests = [];
  page.on("request", (request) => request.method() === "POST" && requests.push(request.url()));
  await page.evaluate(() => {
    const leaving = new AbortController();
    ask("leaving", { signal: leaving.signal });
    ask("staying");
    leaving.abort();
  });

  assert.equal((await ending(page, "leaving")).error, "AbortError");
  assert.equal((await ending(page, "staying")).state, "token");
  assert.equal(requests.filter((url) => url.endsWith("/chat/token")).length, 1);
});

test("a page of another origin cannot control anything", async () => {
  const { cognitoUrl, whopUrl } = await configuration();
  const page = await openApp(context, user);
  const statuses = [];
  page.on("response", (response) => response.request().method() === "POST" && statuses.push(response.status()));
  const targets = [`${PAGE_URL}/control/break`, `${whopUrl}/_simulator/reset`, `${cognitoUrl}/_ministack/reset`, `${cognitoUrl}/2015-03-31/functions`];
  await page.evaluate(
    (targets) => Promise.all(targets.map((url) => fetch(url, { method: "POST", mode: "no-cors", body: "{}" }))),
    targets,
  );

  assert.deepEqual(statuses, targets.map(() => 403));
});
