/** Users who sign in to Whop themselves, on the page of `make dev`. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { click, connect, done, getToken, openChat, send, signIn } from "./steps.js";
import { PAGE_URL, simulator, startBrowser } from "./world.js";

let browser;
let context;
let page;

before(async () => {
  browser = await startBrowser();
});

beforeEach(async () => {
  context = await browser.newContext({ viewport: { width: 1300, height: 1000 } });
  page = await context.newPage();
  await page.goto(PAGE_URL);
  await page.waitForSelector("html[data-ready]");
  await signIn(page);
});

afterEach(() => context.close());

after(() => browser.close());

const says = (text) => page.waitForFunction((text) => document.getElementById("sees").textContent.includes(text), text);

/** A Whop account that nobody has, by its e-mail address, and its user name. */
function account() {
  const name = `own-${randomUUID().slice(0, 8)}`;
  return { name, email: `${name}@people.example.test` };
}

async function whopUser(name) {
  return (await simulator("GET", "state")).users.find(({ username }) => username === name).id;
}

const tokenOf = (user) => page.waitForFunction((user) => document.getElementById("token-user").textContent === user, user);

async function expire() {
  await click(page, "Expire the token");
  await page.getByText("The token has expired").waitFor();
}

const author = (chat, text) => chat.getByRole("listitem").filter({ hasText: text }).first().textContent();

test("a user links, chats as their own account past an expiry, and unlinks", async () => {
  const { name, email } = account();
  await done(page, "sync");
  await getToken(page);
  const company = await page.textContent("#token-user");
  await connect(page, email);
  await done(page, "link");
  assert.equal(await page.textContent("#account"), `Connected: ${name}.`);

  const own = await whopUser(name);
  await getToken(page);
  await tokenOf(own);
  const chat = await openChat(page, "embedded components 1.2");
  await send(chat, `before, ${name}`);
  await expire();
  await send(chat, `after, ${name}`);
  for (const text of [`before, ${name}`, `after, ${name}`]) assert.match(await author(chat, text), new RegExp(`^\\W*${name}`));

  await click(page, "Unlink");
  await says("Unlinked.");
  assert.equal(await page.locator("#chat iframe").count(), 0);
  await getToken(page);
  await tokenOf(company);
  const [{ grants }] = (await simulator("GET", "state")).oauth;
  assert.deepEqual(grants.filter(({ user_id: user }) => user === own), []);
});

test("a user who refuses at Whop is told, and stays who they were", async () => {
  await connect(page, account().email, "Deny");
  await says("Not connected: access_denied.");

  await getToken(page);
  assert.equal(await page.textContent("#account"), "No account is connected.");
});

test("after its consent has ended at Whop, an account has to be linked again", async () => {
  const { name, email } = account();
  await connect(page, email);
  await done(page, "link");
  await getToken(page);
  await simulator("POST", "end_consents", { user_id: await whopUser(name) });
  await expire();
  await click(page, "Get a token");
  await says("denied: link_expired. Show: link-account.");

  await connect(page, email);
  await getToken(page);
});
