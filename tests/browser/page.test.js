/** The page of `make dev`, as a user of it. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { PAGE_URL, breakIt, here, startBrowser } from "./world.js";

let browser;
let context;
let page;
let problems;

before(async () => {
  browser = await startBrowser();
});

beforeEach(async () => {
  context = await browser.newContext({ viewport: { width: 1300, height: 1000 } });
  page = await openPage(context);
});

afterEach(async () => {
  await context.close();
  await breakIt("repair");
});

after(() => browser.close());

async function openPage(context) {
  const page = await context.newPage();
  problems = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => /Content Security Policy/.test(message.text()) && problems.push(message.text()));
  await page.goto(PAGE_URL);
  await page.waitForSelector("html[data-ready]");
  return page;
}

const click = (name) => page.getByRole("button", { name, exact: true }).click();
const done = (step) => page.waitForSelector(`#step-${step}.done`);
const says = (text) => page.waitForFunction((text) => document.getElementById("sees").textContent.includes(text), text);
const status = async (status) => page.locator("#requests tr", { hasText: String(status) }).first().waitFor();

async function signIn() {
  await click("Sign up");
  await done("sign-up");
  await click("Read the mail");
  await page.waitForFunction(() => document.getElementById("code").value.length === 6);
  await click("Confirm");
  await done("confirm");
  await click("Sign in");
  await done("sign-in");
}

async function getToken() {
  await click("Get a token");
  await done("mint");
}

async function openChat(generation) {
  await page.getByLabel(generation).check();
  await click("Open the chat");
  await done("chat");
  return page.frameLocator("#chat iframe");
}

async function send(chat, text) {
  await chat.getByRole("textbox", { name: "Message" }).fill(text);
  await chat.getByRole("button", { name: "Send" }).click();
  await chat.getByRole("listitem").filter({ hasText: text }).waitFor();
}

for (const generation of ["embedded components 1.2", "Elements 1.10"]) {
  test(`a user signs up and sends a message by ${generation}`, async () => {
    await signIn();
    await done("sync");
    await getToken();
    const user = await page.textContent("#token-user");
    await send(await openChat(generation), `Hello by ${generation}`);

    assert.match(user, /^user_/);
    assert.match(await page.textContent("#token-scopes"), /chat:message:create/);
    assert.match(await page.textContent("#life-text"), /^(60:00|59:\d\d) left, the next token in 4\d:\d\d$/);
    assert.deepEqual(problems, []);
  });
}

test("the log shows one request across the functions by its correlation id", async () => {
  await signIn();
  await done("sync");
  const synced = page.locator("#log tr", { hasText: "user synced" }).first();
  const id = await synced.getByRole("button").getAttribute("aria-label");
  await synced.getByRole("button").click();
  const shown = await page.locator("#log tr:visible td:nth-child(3)").allTextContents();

  assert.deepEqual([...new Set(shown)].sort(), ["on_signup", "sync_user"], id);
});

test("fewer features give fewer scopes", async () => {
  await signIn();
  await page.getByRole("checkbox", { name: "dms" }).uncheck();
  await page.getByRole("checkbox", { name: "support" }).uncheck();
  await getToken();

  assert.equal(await page.textContent("#token-scopes"), "chat:message:create chat:read");
});

for (const generation of ["embedded components 1.2", "Elements 1.10"]) {
  test(`a message can be sent after the token has expired, by ${generation}`, async () => {
    await signIn();
    await getToken();
    const chat = await openChat(generation);
    await send(chat, `before, ${generation}`);
    await click("Expire the token");
    await page.getByText("The token has expired").waitFor();

    await send(chat, `after, ${generation}`);
    assert.equal(await page.locator("#requests tr", { hasText: "200" }).count(), 2);
  });
}

test("the API key is rotated without anybody noticing", async () => {
  await signIn();
  await getToken();
  await click("Rotate the API key");
  await page.getByText("No deployment was needed").waitFor();
  await getToken();
  await page.waitForFunction(() => document.querySelectorAll("#requests tr").length === 2);

  assert.deepEqual(await page.locator("#requests td:nth-child(3)").allTextContents(), ["200", "200"]);
});

test("a denied user is told, and gets a token when allowed", async () => {
  await signIn();
  await getToken();
  await click("Deny this user");
  await page.getByText("The user is denied").waitFor();
  await click("Get a token");
  await says("denied: user_denied. Show: not-allowed.");
  await click("Allow this user");
  await page.getByText("The user is allowed").waitFor();
  await click("Get a token");

  await says("A token for chat.");
});

test("a deleted user is signed out", async () => {
  await signIn();
  await getToken();
  await click("Delete this user");
  await page.getByText("The user is deleted").waitFor();
  await page.getByText("Status deleted").waitFor();
  await click("Get a token");

  await says("signed-out: user_gone. Show: sign-in.");
});

test("the next user sees nothing of the one before", async () => {
  await signIn();
  await getToken();
  await openChat("embedded components 1.2");
  await click("Switch user");

  assert.equal(await page.locator("#chat iframe").count(), 0);
  assert.equal(await page.isVisible("#token"), false);
  assert.equal(await page.textContent("#who"), "Nobody is signed in.");
  await signIn();
  await getToken();
  assert.deepEqual(problems, []);
});

test("a slow Whop is waited for", async () => {
  await signIn();
  await done("sync");
  await click("Whop is slow");
  await page.getByText("Whop takes 2 s").waitFor();
  await getToken();
});

test("the keyboard alone is enough", async () => {
  await page.focus("#email");
  await page.keyboard.press("Enter");
  await done("sign-up");
  await page.focus("#read-code");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("code").value.length === 6);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await done("confirm");
  const reached = new Set();
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.name));
  }
  for (const name of ["Sign in", "Get a token", "Open the chat", "Whop is down", "Switch user"]) {
    assert.ok(reached.has(name), name);
  }
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing serious in ${colorScheme} colours`, async () => {
    await page.emulateMedia({ colorScheme });
    await signIn();
    await getToken();
    await openChat("embedded components 1.2");
    await click("Deny this user");
    await page.locator("#log tr").first().waitFor();
    const axe = await readFile(here("node_modules/axe-core/axe.min.js"), "utf8");
    for (const frame of page.frames()) await frame.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());

    const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
    assert.deepEqual(
      serious.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
      [],
    );
  });
}

// The last, because the service does not ask Whop again for so long.
test("a limit of Whop is waited for, with its seconds", async () => {
  await signIn();
  await click("Whop answers 429 for 20 s");
  await page.getByText("Whop answers 429 for 20 s.").waitFor();
  await click("Get a token");
  await status(503);

  await says("wait: whop_rate_limited");
});
