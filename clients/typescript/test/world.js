/** A virtual clock, a Cognito session, a service and a source of chance, in place of the globals that the client uses. */

import assert from "node:assert/strict";

const START = Date.UTC(2027, 0, 15, 8);
const SEED = 20261123;
const realTimeout = setImmediate;

/** Lets every promise that can settle do so. */
const settled = async () => {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => realTimeout(resolve));
};

export class World {
  effects = [];
  // Timers run on `elapsed`. While the device sleeps, only the wall clock goes on, by `slept`.
  #elapsed = 0;
  #slept = 0;
  #timers = [];
  #ids = 0;
  #cognitoTokens = 1;

  constructor({ seed = SEED, clock_ahead = 0, cognito = [], answers = [], user = "ada" }) {
    this.user = user;
    this.cognito = [...cognito];
    this.answers = [...answers];
    this.clockAhead = clock_ahead;
    this.chance = seed;
  }

  get at() {
    return this.#elapsed + this.#slept;
  }

  effect(effect) {
    this.effects.push({ at: this.at, ...effect });
  }

  /** Replaces the globals. */
  install() {
    Date.now = () => START + this.at + this.clockAhead;
    Math.random = () => (this.chance = (this.chance * 48271) % 2147483647) / 2147483647;
    globalThis.setTimeout = (run, ms) => this.#timer(run, ms);
    globalThis.clearTimeout = (id) => (this.#timers = this.#timers.filter((timer) => timer.id !== id));
    globalThis.fetch = (url, options) => this.#fetch(url, options);
  }

  #timer(run, ms) {
    assert(ms < 2 ** 31, "a browser's timer of over 24 days ends at once");
    const id = ++this.#ids;
    this.#timers.push({ id, time: this.#elapsed + Math.max(0, ms), run });
    return id;
  }

  /** Runs what happens before or at `at` on the wall clock, in order. */
  async until(at) {
    await settled();
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.time - b.time || a.id - b.id)[0];
      if (!next || next.time + this.#slept > at) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#elapsed = next.time;
      next.run();
      await settled();
    }
    if (at < Infinity) this.#elapsed = at - this.#slept;
  }

  sleep(ms) {
    this.#slept += ms;
  }

  // ------------------------------------------------------------------------------------------------- Cognito

  cognitoToken = async ({ forceRefresh }) => {
    this.effect({ effect: "cognito", refresh: forceRefresh });
    const { after = 0, fails, signed_out, token, user } = this.cognito.shift() ?? {};
    if (after) await new Promise((resolve) => setTimeout(resolve, after));
    if (fails) throw new Error("Cognito cannot be reached");
    if (signed_out) return undefined;
    if (forceRefresh) this.#cognitoTokens++;
    if (token !== undefined) return token;
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    return `${part({ kid: `c${this.#cognitoTokens}` })}.${part({ sub: user ?? this.user, name: "Zoë?>~" })}.c`;
  };

  // ------------------------------------------------------------------------------------------------- the service

  #fetch(url, { method, headers, body, signal, credentials, redirect, cache }) {
    assert.deepEqual({ credentials, redirect, cache }, { credentials: "omit", redirect: "error", cache: "no-store" });
    assert.equal(body === undefined, headers["Content-Type"] === undefined);
    const [scheme, token] = headers.Authorization.split(" ");
    assert.equal(scheme, "Bearer");
    const cognito = JSON.parse(Buffer.from(token.split(".")[0], "base64url").toString()).kid;
    const named = method === "POST" ? {} : { method };
    this.effect({ effect: "request", ...named, path: new URL(url).pathname, cognito, ...(body && JSON.parse(body)) });
    const answer = this.answers.shift();
    assert(answer, "the case has no answer for this request");
    return new Promise((resolve, reject) => {
      const timer = this.#timer(() => (answer.network ? reject(new TypeError("Failed to fetch")) : resolve(this.#response(answer))), answer.after ?? 100);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        this.effect({ effect: "cancel" });
        reject(signal.reason);
      });
    });
  }

  /** The service's clock is right, and it counts in seconds. */
  #response({ status = 200, code, retry_after, header = true, token, lives = 3600, refresh = 2880, body, date = true }) {
    const seconds = Math.floor((START + this.at) / 1000);
    const timestamp = (time) => new Date(time * 1000).toISOString().replace(".000", "");
    const headers = new Headers(date ? { date: new Date(seconds * 1000).toUTCString() } : {});
    if (retry_after !== undefined && header) headers.set("retry-after", String(retry_after));
    const document = token
      ? { token, expires_at: timestamp(seconds + lives), refresh_after: timestamp(seconds + refresh), scopes: ["chat:read"] }
      : code && { type: `urn:whop-chat-auth:problem:${code}`, status, code, ...(retry_after && { retry_after }) };
    return new Response(body ?? (document ? JSON.stringify(document) : ""), { status, headers });
  }
}
