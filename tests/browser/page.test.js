/** The page of `make dev`, as a user of it. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { click, connect, done, getToken, openChat, send, signIn } from "./steps.js";
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

const says = (text) => page.waitForFunction((text) => document.getElementById("sees").textContent.includes(text), text);
const status = async (status) => page.locator("#requests tr", { hasText: String(status) }).first().waitFor();

for (const generation of ["embedded components 1.2", "Elements 1.10"]) {
  test(`a user signs up and sends a message by ${generation}`, async () => {
    await signIn(page);
    await done(page, "sync");
    await getToken(page);
    const user = await page.textContent("#token-user");
    await send(await openChat(page, generation), `Hello by ${generation}`);

    assert.match(user, /^user_/);
    assert.match(await page.textContent("#token-scopes"), /chat:message:create/);
    assert.match(await page.textContent("#life-text"), /^(60:00|59:\d\d) left, the next token in 4\d:\d\d$/);
    assert.deepEqual(problems, []);
  });
}

test("the log shows one request across the functions by its correlation id", async () => {
  await signIn(page);
  await done(page, "sync");
  const synced = page.locator("#log tr", { hasText: "user synced" }).first();
  const id = await synced.getByRole("button").getAttribute("aria-label");
  await synced.getByRole("button").click();
  const shown = await page.locator("#log tr:visible td:nth-child(3)").allTextContents();

  assert.deepEqual([...new Set(shown)].sort(), ["on_signup", "sync_user"], id);
});

test("fewer features give fewer scopes", async () => {
  await signIn(page);
  await page.getByRole("checkbox", { name: "dms" }).uncheck();
  await page.getByRole("checkbox", { name: "support" }).uncheck();
  await getToken(page);

  assert.equal(await page.textContent("#token-scopes"), "chat:message:create chat:read");
});

for (const generation of ["embedded components 1.2", "Elements 1.10"]) {
  test(`a message can be sent after the token has expired, by ${generation}`, async () => {
    await signIn(page);
    await getToken(page);
    const chat = await openChat(page, generation);
    await send(chat, `before, ${generation}`);
    await click(page, "Expire the token");
    await page.getByText("The token has expired").waitFor();

    await send(chat, `after, ${generation}`);
    assert.equal(await page.locator("#requests tr", { hasText: "200" }).count(), 2);
  });
}

test("the API key is rotated without anybody noticing", async () => {
  await signIn(page);
  await getToken(page);
  await click(page, "Rotate the API key");
  await page.getByText("No deployment was needed").waitFor();
  await getToken(page);
  await page.waitForFunction(() => document.querySelectorAll("#requests tr").length === 2);

  assert.deepEqual(await page.locator("#requests td:nth-child(3)").allTextContents(), ["200", "200"]);
});

test("a denied user is told, and gets a token when allowed", async () => {
  await signIn(page);
  await getToken(page);
  await click(page, "Deny this user");
  await page.getByText("The user is denied").waitFor();
  await click(page, "Get a token");
  await says("denied: user_denied. Show: not-allowed.");
  await click(page, "Allow this user");
  await page.getByText("The user is allowed").waitFor();
  await click(page, "Get a token");

  await says("A token for chat.");
});

test("a deleted user is signed out", async () => {
  await signIn(page);
  await getToken(page);
  await click(page, "Delete this user");
  await page.getByText("The user is deleted").waitFor();
  await page.getByText("Status deleted").waitFor();
  await click(page, "Get a token");

  await says("signed-out: user_gone. Show: sign-in.");
});

test("the next user sees nothing of the one before", async () => {
  await signIn(page);
  await getToken(page);
  await openChat(page, "embedded components 1.2");
  await click(page, "Switch user");

  assert.equal(await page.locator("#chat iframe").count(), 0);
  assert.equal(await page.isVisible("#token"), false);
  assert.equal(await page.textContent("#who"), "Nobody is signed in.");
  await signIn(page);
  await getToken(page);
  assert.deepEqual(problems, []);
});

test("a slow Whop is waited for", async () => {
  await signIn(page);
  await done(page, "sync");
  await click(page, "Whop is slow");
  await page.getByText("Whop takes 2 s").waitFor();
  await getToken(page);
});

test("the keyboard alone is enough", async () => {
  await page.focus("#email");
  await page.keyboard.press("Enter");
  await done(page, "sign-up");
  await page.focus("#read-code");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("code").value.length === 6);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await done(page, "confirm");
  const reached = new Set();
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.name));
  }
  for (const name of ["Sign in", "Get a token", "Open the chat", "Connect my Whop account", "Whop is down", "Switch user"]) {
    assert.ok(reached.has(name), name);
  }
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing serious in ${colorScheme} colours`, async () => {
    await page.emulateMedia({ colorScheme });
    await signIn(page);
    await connect(page, `axe-${colorScheme}@people.example.test`);
    await done(page, "link");
    await getToken(page);
    await openChat(page, "embedded components 1.2");
    await click(page, "Deny this user");
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
  await signIn(page);
  await click(page, "Whop answers 429 for 20 s");
  await page.getByText("Whop answers 429 for 20 s.").waitFor();
  await click(page, "Get a token");
  await status(503);

  await says("wait: whop_rate_limited");
});
