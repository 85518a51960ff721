/** The two adapters, on the virtual clock. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatError, ChatTokens } from "../src/chat-tokens.js";
import { pullToken } from "../src/pull.js";
import { pushToken } from "../src/push.js";
import { World } from "./world.js";

const MINUTE = 60_000;

function start(setting) {
  const world = new World(setting);
  world.install();
  const tokens = new ChatTokens({ apiUrl: "https://api.example.test", userId: "ada", cognitoToken: world.cognitoToken });
  return { world, tokens };
}

/** A chat of Elements 1.10 that records what is done to it. After `destroy` every other call is refused. */
function pushed(setting) {
  const { world, tokens } = start(setting);
  const log = [];
  const errors = [];
  const mount = (accessToken) => {
    let destroyed = false;
    log.push([world.at, "mount", accessToken]);
    return {
      update(options) {
        assert(!destroyed);
        log.push([world.at, "update", options.accessToken]);
      },
      destroy() {
        destroyed = true;
        log.push([world.at, "destroy"]);
      },
    };
  };
  const stop = pushToken(tokens, mount, (error) => errors.push(error));
  return { world, tokens, log, errors, stop };
}

const three = { answers: [{ token: "w1" }, { token: "w2" }, { token: "w3" }] };

test("the chat is mounted with a token, and updated before each expires", async () => {
  const { world, log, stop } = pushed(three);
  await world.until(99 * MINUTE);
  assert.deepEqual(log, [[100, "mount", "w1"], [2880100, "update", "w2"], [5760100, "update", "w3"]]);
  stop();
});

test("a chat gets a token of the account that was linked or unlinked meanwhile", async () => {
  const account = { body: JSON.stringify({ whop_user: { id: "user_1" } }) };
  const { world, tokens, log, stop } = pushed({ answers: [{ token: "w1" }, account, { token: "w2" }, {}, { token: "w3" }] });
  await world.until(1000);
  await Promise.all([tokens.complete("r1"), world.until(2000)]);
  await Promise.all([tokens.unlink(), world.until(3000)]);
  assert.deepEqual(log, [[100, "mount", "w1"], [1200, "update", "w2"], [2200, "update", "w3"]]);
  stop();
});

test("a chat that has slept gets its next token when it wakes", async () => {
  const { world, tokens, log, stop } = pushed(three);
  await world.until(1000);
  world.sleep(2 * 60 * MINUTE);
  tokens.wake();
  await world.until(world.at + 200);
  assert.deepEqual(log, [[100, "mount", "w1"], [7201100, "update", "w2"]]);
  stop();
});

test("a token that is handed out again is no update", async () => {
  const { world, log, stop } = pushed({ answers: [{ token: "w1" }, { status: 503, retry_after: 60 }, { token: "w2" }] });
  await world.until(50 * MINUTE);
  assert.deepEqual(log.map(([, what, token]) => [what, token]), [["mount", "w1"], ["update", "w2"]]);
  stop();
});

test("nothing is mounted after it was stopped", async () => {
  const { world, log, errors, stop } = pushed(three);
  await world.until(50);
  stop();
  await world.until(10 * MINUTE);
  assert.deepEqual([log, errors], [[], []]);
  assert.equal(world.effects.at(-1).effect, "cancel");
});

test("a stop destroys the chat, and asks for no more tokens", async () => {
  const { world, log, stop } = pushed(three);
  await world.until(1000);
  stop();
  await world.until(Infinity);
  assert.deepEqual(log.slice(1), [[1000, "destroy"]]);
  assert.equal(world.answers.length, 2);
});

test("a user who is denied loses the chat", async () => {
  const { world, log, errors } = pushed({ answers: [{ token: "w1" }, { status: 403, code: "user_denied" }] });
  await world.until(Infinity);
  assert.deepEqual(log.slice(1), [[2880100, "destroy"]]);
  assert(errors[0] instanceof ChatError && errors[0].kind === "denied");
});

test("a sign-out destroys the chat", async () => {
  const { world, tokens, log, errors } = pushed(three);
  await world.until(1000);
  tokens.close();
  await world.until(Infinity);
  assert.deepEqual(log.slice(1), [[1000, "destroy"]]);
  assert.equal(errors[0].kind, "signed-out");
});

test("a session that pulls gets the token alone, and its abort reaches the request", async () => {
  const { world, tokens } = start({ answers: [{ token: "w1" }, { token: "w2" }] });
  const pull = pullToken(tokens);
  const controller = new AbortController();
  const aborted = assert.rejects(pull({ abortSignal: controller.signal }), { name: "AbortError" });
  await world.until(50);
  controller.abort();
  await aborted;
  const pulled = pull({ abortSignal: new AbortController().signal });
  await world.until(500);
  assert.equal(await pulled, "w2");
});
