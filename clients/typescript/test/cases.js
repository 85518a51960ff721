/** Runs every case of clients/cases.json. Prints a line for each, and exits with 1 if one failed. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ChatError, ChatTokens } from "../src/chat-tokens.js";
import { World } from "./world.js";

const { cases, problems } = JSON.parse(readFileSync(new URL("../../cases.json", import.meta.url), "utf8"));

/** A client, and the app around it. */
class App {
  #calls = new Map();

  constructor(world, { features }) {
    this.world = world;
    this.features = features;
    this.tokens = this.#client();
  }

  #client() {
    const { world, features } = this;
    return new ChatTokens({
      apiUrl: "https://api.example.test/",
      userId: world.user,
      cognitoToken: world.cognitoToken,
      features,
      onWait: (wait) => world.effect({ effect: "wait", ...wait }),
    });
  }

  #call(caller, call) {
    const controller = new AbortController();
    this.#calls.set(caller, controller);
    call({ signal: controller.signal }).then(
      (value) => this.world.effect({ effect: "resolve", caller, ...value }),
      (error) => this.world.effect({ effect: "reject", caller, ...this.#reason(error) }),
    );
  }

  #reason(error) {
    if (error instanceof ChatError) return { kind: error.kind, code: error.code, show: error.show };
    assert.equal(error.name, "AbortError");
    return { kind: "aborted" };
  }

  do({ event, caller, user, return_to, result, slept = 0 }) {
    switch (event) {
      case "call":
        return this.#call(caller, async (call) => ({ token: (await this.tokens.token(call)).token }));
      case "sync":
        return this.#call(caller, (call) => this.tokens.sync(call));
      case "link":
        return this.#call(caller, async (call) => ({ url: await this.tokens.link(return_to, call) }));
      case "complete":
        return this.#call(caller, async (call) => ({ account: await this.tokens.complete(result, call) }));
      case "unlink":
        return this.#call(caller, (call) => this.tokens.unlink(call));
      case "abort":
        return this.#calls.get(caller).abort();
      case "signOut":
        return this.tokens.close();
      case "switchUser":
        this.tokens.close();
        this.world.user = user;
        this.tokens = this.#client();
        return undefined;
      case "offline":
        return this.tokens.offline();
      case "online":
        return this.tokens.online();
      case "wake":
        this.world.sleep(slept);
        return this.tokens.wake();
      default:
        throw new Error(`no event ${event}`);
    }
  }
}

async function played({ events, until = Infinity, ...setting }) {
  const world = new World(setting);
  world.install();
  const app = new App(world, setting);
  for (const event of events) {
    await world.until(event.at);
    app.do(event);
  }
  await world.until(until);
  return world;
}

async function runCase(each) {
  const world = await played(each);
  assert.deepEqual(world.effects, each.effects);
  assert.deepEqual(world.answers, [], "answers that were not asked for");
}

/** A problem ends a call, after as many answers as the table says, or makes it wait. */
async function runProblem(code, { status, kind, show, attempts = 1 }) {
  const answers = Array.from({ length: attempts }, () => ({ status, code, ...(kind === "wait" && { retry_after: 2 }) }));
  const { effects } = await played({ answers, events: [{ at: 0, event: "call", caller: "a" }], until: kind === "wait" ? 1000 : Infinity });
  const { at, ms, caller, ...last } = effects.at(-1);
  assert.deepEqual(last, kind === "wait" ? { effect: "wait", code } : { effect: "reject", kind, code, show });
}

let failed = 0;
async function report(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    failed++;
    console.log(`not ok ${name}\n${error.message}`);
  }
}

const named = process.argv.slice(2);
for (const each of cases) if (!named.length || named.includes(each.name)) await report(each.name, () => runCase(each));
for (const [code, problem] of Object.entries(problems)) {
  if (!named.length || named.includes(code)) await report(`problem ${code}`, () => runProblem(code, problem));
}
console.log(`${failed ? "FAILED" : "passed"}: ${failed} of ${cases.length + Object.keys(problems).length} failed`);
process.exitCode = failed ? 1 : 0;
