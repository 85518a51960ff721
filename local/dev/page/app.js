/** The page: it does what an app does, with the same client, and shows what comes of it. */

import { moveOn } from "./clock.js";
import { ChatTokens } from "/client/chat-tokens.js";
import { openChat } from "./chat.js";
import { Session, confirm, signIn, signUp } from "./cognito.js";
import { get, post } from "./control.js";
import { followLog } from "./log.js";
import { watchRequests } from "./requests.js";

const byId = (id) => document.getElementById(id);
const configuration = await get("configuration");

/** @type {{ sub?: string, session?: Session, tokens?: ChatTokens, token?: object, mintedAt?: number, close?: () => void, links?: boolean, account?: object }} */
let user = {};

function done(step, isDone = true) {
  byId(`step-${step}`).classList.toggle("done", isDone);
}

function say(text, id = "sees") {
  byId(id).textContent = text;
}

/** Runs what an event starts, and says what failed. */
function on(target, event, action) {
  target.addEventListener(event, (happened) => {
    happened.preventDefault();
    Promise.resolve(action(happened)).catch((error) => say(error.message));
  });
}

function makeUpUser() {
  const random = crypto.randomUUID().slice(0, 8);
  byId("email").value = `ada-${random}@people.example.test`;
  byId("password").value = "Everybody-1!"; // so that an earlier user can sign in again by the address
  byId("name").value = "Ada";
  byId("code").value = "";
}

// ---------------------------------------------------------------------------------------------------- Cognito

on(byId("sign-up"), "submit", async () => {
  const sub = await signUp(configuration, {
    email: byId("email").value,
    password: byId("password").value,
    name: byId("name").value,
  });
  leave();
  user = { sub };
  done("sign-up");
  say("Signed up. Cognito has sent a code.");
});

on(byId("read-code"), "click", async () => {
  const mail = (await get("mails")).find(({ to }) => to === byId("email").value);
  const code = mail?.text.match(/\b\d{6}\b/)?.[0];
  say(code ? `The mail says ${code}.` : "There is no mail to this address.");
  if (code) byId("code").value = code;
});

on(byId("confirm"), "submit", async () => {
  await confirm(configuration, byId("email").value, byId("code").value);
  done("confirm");
  say("Confirmed. The sync is on its way.");
});

on(byId("sign-in"), "submit", async () => {
  const session = await signIn(configuration, byId("email").value, byId("password").value);
  leave();
  user = { sub: session.userId, session };
  for (const step of ["sign-up", "confirm", "sign-in"]) done(step);
  say(`${session.email} is signed in.`, "who");
  say("Signed in.");
});

/** Ends what belongs to the user of before. */
function leave() {
  user.tokens?.close();
  user.close?.();
  user = {};
  byId("token").hidden = true;
  for (const step of ["sign-up", "confirm", "sign-in", "sync", "mint", "chat", "link"]) done(step, false);
  say("Nobody is signed in.", "who");
  say("Waits for a sign-up.", "sync");
  showAccount();
}

on(byId("sign-out"), "click", () => {
  leave();
  say("Signed out. Nothing under way is answered.");
});

on(byId("switch"), "click", () => {
  leave();
  makeUpUser();
  byId("email").focus();
  say("Another user can sign up.");
});

async function followSync() {
  const { sub } = user;
  try {
    const record = sub ? await get("record", { sub }) : {};
    if (sub && sub === user.sub) {
      const { status, whop_user_id: whopUser, own_whop_user_id: ownUser } = record;
      done("sync", status === "linked");
      say(status ? `Status ${status}${whopUser ? `, Whop user ${whopUser}` : ""}.` : "No record yet.", "sync");
      say(ownUser ?? whopUser ?? "—", "token-user");
      showAccount(ownUser);
    }
  } catch {
    // The server is stopped.
  }
  setTimeout(followSync, 700);
}

// ---------------------------------------------------------------------------------------------------- the token

function explain(error) {
  if (error.name === "AbortError") return;
  say(error.kind ? `${error.kind}: ${error.code}. Show: ${error.show}.` : error.message);
}

function client() {
  const features = [...document.querySelectorAll("[name=feature]:checked")].map(({ value }) => value);
  const { session } = user;
  return new ChatTokens({
    apiUrl: configuration.apiUrl,
    userId: session?.userId ?? "",
    cognitoToken: async (how) => session?.accessToken(how),
    features: features.length === 3 ? undefined : features,
    onWait: ({ code, ms }) => say(ms ? `wait: ${code}, ${(ms / 1000).toFixed(0)} s.` : `wait: ${code}.`),
  });
}

watchRequests(configuration.apiUrl, (path, { scopes }) => {
  if (scopes) say(scopes.join(" "), "token-scopes");
});

on(byId("mint"), "submit", async () => {
  user.tokens?.close();
  dropToken();
  const tokens = (user.tokens = client());
  try {
    show(await tokens.token());
  } catch (error) {
    if (tokens === user.tokens) explain(error);
  }
});

function dropToken() {
  user.close?.();
  user.close = user.token = undefined;
  byId("token").hidden = true;
  for (const step of ["mint", "chat"]) done(step, false);
}

function show(token) {
  if (token.token !== user.token?.token) user.mintedAt = Date.now();
  user.token = token;
  byId("token").hidden = false;
  say(configuration.companyId, "token-company");
  drawLife();
  done("mint");
  say("A token for chat.");
}

const seconds = (ms) => `${Math.floor(ms / 60_000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, "0")}`;

function drawLife() {
  const { token, mintedAt } = user;
  if (!token) return;
  const whole = token.expiresAt - mintedAt;
  const left = Math.max(0, token.expiresAt - Date.now());
  const percent = Math.round((100 * left) / whole);
  byId("life-left").style.width = `${percent}%`;
  byId("life-refresh").style.left = `${(100 * (token.expiresAt - token.refreshAt)) / whole}%`;
  byId("life").setAttribute("aria-valuenow", String(percent));
  const refresh = Math.max(0, token.refreshAt - Date.now());
  say(left ? `${seconds(left)} left, the next token in ${seconds(refresh)}` : "expired", "life-text");
}

// ---------------------------------------------------------------------------------------------------- the chat

on(byId("open-chat"), "submit", async () => {
  user.close?.();
  const tokens = (user.tokens ??= client());
  const { value: generation } = document.querySelector("[name=generation]:checked");
  const close = await openChat({
    generation,
    configuration,
    tokens,
    target: byId("chat"),
    onError: (error) => {
      done("chat", false);
      explain(error);
    },
  });
  if (tokens !== user.tokens) return close();
  user.close = close;
  done("chat");
});

// ---------------------------------------------------------------------------------------------------- their own account

function showAccount(id) {
  const { name, username } = user.account ?? {};
  say(id ? `Connected: ${name ?? username ?? id}.` : "No account is connected.", "account");
  done("link", Boolean(id));
  byId("unlink").hidden = !id;
}

/** Chat is another Whop user's from now on. */
function changeAccount(account) {
  user.account = account;
  dropToken();
  say(account?.id ?? "—", "token-user");
  showAccount(account?.id);
}

on(byId("link"), "submit", async () => {
  user.tokens ??= client();
  try {
    const url = await user.tokens.link(`${location.origin}/linked.html`);
    user.links = Boolean(window.open(url, "whop", "popup"));
    say(user.links ? "Whop asks the user." : "The browser has blocked Whop’s window.");
  } catch (error) {
    explain(error);
  }
});

/** The page `linked.html`, where Whop sends the user back to. */
on(new BroadcastChannel("linked"), "message", async ({ data: { result, error } }) => {
  if (!user.links) return;
  user.links = false;
  if (error) return say(`Not connected: ${error}. Show: link-account.`);
  user.tokens ??= client();
  try {
    changeAccount(await user.tokens.complete(result));
    say("Connected. Get a token of this account.");
  } catch (error) {
    explain(error);
  }
});

on(byId("unlink"), "click", async () => {
  user.tokens ??= client();
  try {
    await user.tokens.unlink();
    changeAccount(undefined);
    byId("link").querySelector("button:not([type])").focus();
    say("Unlinked. Get a token again.");
  } catch (error) {
    explain(error);
  }
});

// ---------------------------------------------------------------------------------------------------- break things

const BROKEN = {
  expire: "The token has expired, and this page’s clock is after its end.",
  down: "Whop does not answer. Tokens that are out stay good.",
  limit: `Whop answers 429 for ${configuration.limitedSeconds} s.`,
  slow: "Whop takes 2 s for each call.",
  repair: "Whop works.",
  rotate: "The API key is another one. No deployment was needed.",
  deny: "The user is denied. A token that is out stays good until its end.",
  allow: "The user is allowed.",
  delete: "The user is deleted in Cognito.",
};

for (const button of document.querySelectorAll("[data-break]")) {
  on(button, "click", async () => {
    const what = button.dataset.break;
    await post("break", { what });
    if (what === "expire") await expire();
    say(BROKEN[what], "broken");
  });
}

for (const button of document.querySelectorAll("[data-user]")) {
  on(button, "click", async () => {
    const what = button.dataset.user;
    if (!user.sub) return say("Nobody has signed up.", "broken");
    await post("user", { what, sub: user.sub });
    say(BROKEN[what], "broken");
  });
}

async function expire() {
  if (!user.token) return;
  moveOn(Math.max(0, user.token.expiresAt - Date.now()));
  user.tokens.wake();
}

// ---------------------------------------------------------------------------------------------------- start

/** A token that the chat got is shown too. */
async function followToken() {
  const { tokens, close } = user;
  if (tokens && close && user.token && Date.now() >= user.token.refreshAt) {
    await tokens.token().then((token) => tokens === user.tokens && show(token), explain);
  }
  setTimeout(followToken, 1000);
}

makeUpUser();
followLog();
followSync();
followToken();
setInterval(drawLife, 500);
document.documentElement.dataset.ready = "true";
