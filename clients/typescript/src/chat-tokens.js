/**
 * Whop chat tokens for one signed-in Cognito user. This file is complete: copy it, or install the package.
 *
 * `clients/cases.json` fixes what it does, step by step; `clients/README.md` gives the rules in words.
 */

/**
 * Why there is no token, and will be none without a change. `wait` is not among them: `token` waits.
 * @typedef {"signed-out" | "denied" | "broken"} Kind
 */

/**
 * What to tell the user. The app has the words.
 * @typedef {"sign-in" | "not-allowed" | "verify-email" | "change-email" | "other-sign-in" | "contact-support"
 *   | "link-account" | "unavailable"} Show
 */

/**
 * A token for Whop's chat. `expiresAt` and `refreshAt` are milliseconds on this device's clock.
 * @typedef {{ token: string, expiresAt: number, refreshAt: number }} ChatToken
 */

/**
 * The Whop account that a user has linked, as `POST /oauth/whop/complete` answers it.
 * @typedef {{ id: string, name: string | null, username: string | null, picture: string | null }} WhopUser
 */

/**
 * @typedef {object} Options
 * @property {string} apiUrl The stack's output `ApiUrl`.
 * @property {string} userId The `sub` of the signed-in user. Tokens of other users are refused.
 * @property {(options: { forceRefresh: boolean }) => Promise<string | null | undefined>} cognitoToken
 *   The user's Cognito access token. Nothing if nobody is signed in. Throws if that cannot be known now.
 * @property {("channels" | "dms" | "support")[]} [features] Less than the user may do.
 * @property {(wait: { code: string, ms?: number }) => void} [onWait]
 *   Called when callers have to wait `ms` milliseconds. Without `ms`: until the device is online.
 */

const TWO_MINUTES = 120_000;
const REMEMBERED = 60_000;
const PATIENCE = 15_000;
const LONGEST_WAIT = 3_600_000;
const SHORTEST_USE = 10_000;
const MOST_FAILURES = 4;
const LINK = "/oauth/whop/link";

/** @type {Record<Kind, Show>} */
const SHOW = { "signed-out": "sign-in", denied: "not-allowed", broken: "unavailable" };
/** @type {Record<string, Show>} */
const SHOW_FOR = {
  no_verified_email: "verify-email",
  enrolment_rejected: "change-email",
  provider_not_trusted: "other-sign-in",
  identity_conflict: "contact-support",
  identity_mismatch: "contact-support",
  enrolment_blocked: "contact-support",
  link_required: "link-account",
  link_expired: "link-account",
};
/** What Whop refuses to this service until its operator acts. */
const REFUSED_BY_WHOP = ["whop_unauthorized", "whop_forbidden", "whop_rejected"];

/** No token: `kind` says what the app does, `code` why, `show` what the user sees. */
export class ChatError extends Error {
  /**
   * @param {Kind} kind
   * @param {string} code
   */
  constructor(kind, code) {
    super(`no chat token: ${kind} (${code})`);
    this.name = "ChatError";
    this.kind = kind;
    this.code = code;
    this.show = SHOW_FOR[code] ?? SHOW[kind];
  }
}

/** For a caller whose platform gives an abort no reason, such as React Native. */
class Aborted extends Error {
  name = "AbortError";
}

/**
 * One request that callers share. It ends when the last of them leaves.
 * @typedef {{ callers: Set<Caller>, controller: AbortController }} Run
 * @typedef {{ resolve: (token: any) => void, reject: (error: unknown) => void }} Caller
 * @typedef {{ signal?: AbortSignal }} Call
 */

export class ChatTokens {
  /** @type {Options} */
  #options;
  /** @type {ChatToken | undefined} */
  #kept;
  /** @type {{ error: ChatError, until: number } | undefined} */
  #refusal;
  /** @type {Run | undefined} */
  #shared;
  /** @type {Set<Run>} */
  #runs = new Set();
  /** @type {Set<() => void>} */
  #sleepers = new Set();
  /** @type {AbortController | undefined} */
  #listening;
  // Counts the changes of the user's Whop account. A token that was asked for before a change is not used.
  #account = 0;
  #online = globalThis.navigator?.onLine !== false;
  // No request before this time, and why. `told`: the service named the time, so being online again does not end it.
  #notBefore = 0;
  #reason = "";
  #told = false;
  // The streak of failures since the last success.
  #failures = 0;
  #refreshed = false;
  #forceRefresh = false;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * A token, kept or new. It waits as long as it has to. Rejects with a `ChatError`, or when `signal` aborts.
   * @param {Call} [call]
   * @returns {Promise<ChatToken>}
   */
  token({ signal } = {}) {
    const error = this.#refused();
    if (error) return Promise.reject(error);
    const kept = this.#usable();
    if (kept && Date.now() < kept.refreshAt) return Promise.resolve(kept);
    this.#shared ??= this.#start((aborted) => this.#mint(aborted));
    return this.#join(this.#shared, signal);
  }

  /**
   * Tells the service that the user's name has changed. Resolves when the service has noted it.
   * @param {Call} [call]
   * @returns {Promise<void>}
   */
  sync(call) {
    return this.#tell({ path: "/chat/sync" }, () => true, () => (this.#refusal = undefined), call).then(() => {});
  }

  /**
   * The URL at which the user signs in to Whop. Whop then sends the browser back to `returnTo`, which has to be one of
   * the stack's `OAuthReturnUrls`. Its fragment gets a `result` for `complete`, or an `error`.
   * @param {string} returnTo
   * @param {Call} [call]
   * @returns {Promise<string>}
   */
  link(returnTo, call) {
    return this.#tell({ path: LINK, body: { return_to: returnTo } }, ({ authorize_url: url }) => url, () => {}, call);
  }

  /**
   * Links the account that signed in at Whop, and answers it. From now on there are tokens of that account only. A
   * result is good once, so no failure is waited for: after any, `link` again.
   * @param {string} result
   * @param {Call} [call]
   * @returns {Promise<WhopUser>}
   */
  complete(result, call) {
    const request = { path: "/oauth/whop/complete", body: { result }, once: true };
    return this.#tell(request, ({ whop_user: user }) => user?.id && user, () => this.#change(), call);
  }

  /**
   * Unlinks the user's own Whop account. From now on there are no tokens of that account.
   * @param {Call} [call]
   * @returns {Promise<void>}
   */
  unlink(call) {
    return this.#tell({ path: LINK, method: "DELETE" }, () => true, () => this.#change(), call).then(() => {});
  }

  /** The user has signed out, or another one has signed in. Nothing under way is answered, and nothing is asked. */
  close() {
    this.#close("signed_out");
  }

  /** The device is offline: nothing is asked until it is online. A browser's events are followed without this. */
  offline() {
    this.#online = false;
  }

  /** The device is online again. Ends every wait but one that the service asked for. */
  online() {
    this.#online = true;
    if (!this.#told) this.#notBefore = 0;
    this.wake();
  }

  /** The device was asleep, and its timers with it: the clock is read again. */
  wake() {
    for (const awake of [...this.#sleepers]) awake();
  }

  /**
   * Resolves at a time of this device's clock, or earlier: at a wake, or when `signal` aborts.
   * @param {number} time
   * @param {AbortSignal} signal
   * @returns {Promise<void>}
   */
  sleep(time, signal) {
    return new Promise((resolve) => {
      const awake = () => {
        clearTimeout(timer);
        this.#sleepers.delete(awake);
        signal.removeEventListener("abort", awake);
        resolve();
      };
      const timer = time < Infinity ? setTimeout(awake, time - Date.now()) : undefined;
      this.#sleepers.add(awake);
      signal.addEventListener("abort", awake);
      if (signal.aborted) awake();
    });
  }

  /** Follows the events of a browser, from the first request to `close`. */
  #listen() {
    if (this.#listening) return;
    this.#listening = new AbortController();
    if (globalThis.navigator?.onLine === false) this.#online = false;
    const { signal } = this.#listening;
    globalThis.window?.addEventListener?.("online", () => this.online(), { signal });
    globalThis.window?.addEventListener?.("offline", () => this.offline(), { signal });
    globalThis.document?.addEventListener?.("visibilitychange", () => this.wake(), { signal });
  }

  // ------------------------------------------------------------------------------------------------- what is kept

  #refused() {
    return this.#refusal && Date.now() < this.#refusal.until ? this.#refusal.error : undefined;
  }

  /** The kept token, if two minutes of it are left. */
  #usable() {
    const kept = this.#kept;
    if (!kept || kept.expiresAt - Date.now() < TWO_MINUTES) return undefined;
    return { ...kept, refreshAt: Math.max(kept.refreshAt, this.#notBefore) };
  }

  /** The user's Whop account is another one: forgets what belongs to the one before, and lets a pushed chat know. */
  #change() {
    this.#account++;
    this.#kept = this.#refusal = undefined;
    this.wake();
  }

  // ------------------------------------------------------------------------------------------------- callers

  /**
   * @param {(aborted: AbortSignal) => Promise<unknown>} work
   * @returns {Run}
   */
  #start(work) {
    this.#listen();
    /** @type {Run} */
    const run = { callers: new Set(), controller: new AbortController() };
    this.#runs.add(run);
    work(run.controller.signal).then(
      (answer) => this.#end(run, (caller) => caller.resolve(answer)),
      (error) => this.#end(run, (caller) => caller.reject(error)),
    );
    return run;
  }

  /**
   * @param {Run} run
   * @param {(caller: Caller) => void} settle
   */
  #end(run, settle) {
    this.#runs.delete(run);
    if (this.#shared === run) this.#shared = undefined;
    run.controller.abort();
    for (const caller of run.callers) settle(caller);
  }

  /**
   * @param {Run} run
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  #join(run, signal) {
    return new Promise((resolve, reject) => {
      const leave = () => {
        run.callers.delete(caller);
        if (run.callers.size === 0) this.#end(run, () => {});
        reject(signal?.reason ?? new Aborted());
      };
      const stay = () => signal?.removeEventListener("abort", leave);
      /** @type {Caller} */
      const caller = { resolve: (token) => (stay(), resolve(token)), reject: (error) => (stay(), reject(error)) };
      run.callers.add(caller);
      signal?.addEventListener("abort", leave);
      if (signal?.aborted) leave();
    });
  }

  /** @param {string} code */
  #close(code) {
    const error = new ChatError("signed-out", code);
    this.#kept = undefined;
    this.#refusal = { error, until: Infinity };
    this.#listening?.abort();
    for (const run of [...this.#runs]) this.#end(run, (caller) => caller.reject(error));
    this.wake();
    return error;
  }

  // ------------------------------------------------------------------------------------------------- asking

  /**
   * @param {AbortSignal} aborted
   * @returns {Promise<ChatToken>}
   */
  async #mint(aborted) {
    const { features } = this.#options;
    const account = this.#account;
    const request = { path: "/chat/token", body: features && { features } };
    try {
      const token = await this.#ask(request, aborted, {
        read: (body, shift) => {
          const token = chatToken(body, shift);
          if (account === this.#account) this.#kept = token;
          return token;
        },
        dueAt: () => this.#kept?.refreshAt ?? 0,
        instead: () => this.#usable(),
      });
      if (account === this.#account) return token;
    } catch (error) {
      if (aborted.aborted || !(error instanceof ChatError)) throw error;
      if (account === this.#account) {
        this.#kept = undefined;
        this.#refusal = { error, until: Date.now() + REMEMBERED };
        throw error;
      }
    }
    return this.#mint(aborted);
  }

  /**
   * Sends a request of one caller, and calls `done` before it is answered.
   * @template T
   * @param {Request} request
   * @param {Read<T>} read
   * @param {() => void} done
   * @param {Call} [call]
   * @returns {Promise<T>}
   */
  #tell(request, read, done, { signal } = {}) {
    if (this.#refusal?.until === Infinity) return Promise.reject(this.#refusal.error);
    const run = this.#start(async (aborted) => {
      const value = await this.#ask(request, aborted, { read, dueAt: () => 0, instead: () => undefined });
      done();
      return value;
    });
    return this.#join(run, signal);
  }

  /**
   * The answer to a request, repeated while its failures pass. `instead` may answer in place of a wait.
   * @template T
   * @param {Request} request
   * @param {AbortSignal} aborted
   * @param {{ read: Read<T>, dueAt: () => number, instead: () => T | undefined }} how
   * @returns {Promise<T>}
   */
  async #ask(request, aborted, { read, dueAt, instead }) {
    for (;;) {
      await this.#gate(dueAt, aborted);
      const answer = await this.#refreshing(request, aborted, read);
      if (aborted.aborted) throw new Aborted();
      const { kind, code } = answer;
      if (kind === "ok") {
        this.#failures = 0;
        this.#refreshed = false;
        return answer.value;
      }
      if (kind === "offline") continue;
      if (kind === "signed-out" || kind === "denied") throw new ChatError(kind, code);
      this.#backOff(answer);
      const other = instead();
      if (other) return other;
      const givenUp = request.once || (kind === "defect" && this.#failures >= MOST_FAILURES);
      if (kind === "broken" || givenUp) throw new ChatError("broken", code);
    }
  }

  /**
   * Resolves when a request may be sent.
   * @param {() => number} dueAt
   * @param {AbortSignal} aborted
   */
  async #gate(dueAt, aborted) {
    for (;;) {
      if (aborted.aborted) throw new Aborted();
      const due = dueAt();
      const time = this.#online ? Math.max(due, this.#notBefore) : Infinity;
      const ms = time - Date.now();
      if (ms <= 0) return;
      if (this.#online) this.#options.onWait?.({ code: due > this.#notBefore ? "refresh_after" : this.#reason, ms });
      else this.#options.onWait?.({ code: "offline" });
      await this.sleep(time, aborted);
    }
  }

  /** @param {Failure} failure */
  #backOff({ code, ms }) {
    this.#told = ms !== undefined;
    this.#reason = code;
    const wait = ms ? ms * (1 + Math.random() / 10) : Math.min(60_000, 1000 * 2 ** this.#failures++) * (1 - Math.random() / 2);
    this.#notBefore = Date.now() + Math.round(wait);
  }

  /**
   * Sends a request, and once more with a refreshed Cognito token if that may help: once in a streak of failures.
   * @template T
   * @param {Request} request
   * @param {AbortSignal} aborted
   * @param {Read<T>} read
   * @returns {Promise<Answer<T>>}
   */
  async #refreshing(request, aborted, read) {
    const answer = await this.#send(request, aborted, read);
    const stale = answer.code === "network" || answer.status === 401;
    if (!stale || this.#refreshed || aborted.aborted) return answer;
    this.#refreshed = this.#forceRefresh = true;
    return this.#send(request, aborted, read);
  }

  /**
   * @template T
   * @param {Request} request
   * @param {AbortSignal} aborted
   * @param {Read<T>} read
   * @returns {Promise<Answer<T>>}
   */
  async #send({ path, method = "POST", body }, aborted, read) {
    const { apiUrl, userId, cognitoToken } = this.#options;
    let cognito;
    try {
      cognito = await cognitoToken({ forceRefresh: this.#forceRefresh });
    } catch {
      return this.#online ? { kind: "wait", code: "cognito" } : { kind: "offline", code: "offline" };
    }
    if (aborted.aborted) throw new Aborted();
    if (!cognito) return { kind: "signed-out", code: "no_session" };
    if (subject(cognito) !== userId) throw this.#close("other_user");
    this.#forceRefresh = false;

    const attempt = new AbortController();
    const cancel = () => attempt.abort();
    const timer = setTimeout(cancel, PATIENCE);
    aborted.addEventListener("abort", cancel);
    const sentAt = Date.now();
    try {
      const response = await fetch(apiUrl.replace(/\/$/, "") + path, {
        method,
        headers: { Authorization: `Bearer ${cognito}`, ...(body && { "Content-Type": "application/json" }) },
        body: body && JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        signal: attempt.signal,
      });
      return answerOf(response, parsed(await response.text()), sentAt, read);
    } catch {
      if (attempt.signal.aborted) return { kind: "wait", code: "timeout" };
      return this.#online ? { kind: "wait", code: "network" } : { kind: "offline", code: "offline" };
    } finally {
      clearTimeout(timer);
      aborted.removeEventListener("abort", cancel);
    }
  }
}

/**
 * What came of a request. `ms`: the wait that the service asked for. A `defect` is given up after a few times.
 * @typedef {{ kind: Kind | "wait" | "defect" | "offline", code: string, status?: number, ms?: number }} Failure
 */

/**
 * What is asked. `once`: it is not sent again after a wait.
 * @typedef {{ path: string, method?: string, body?: object, once?: boolean }} Request
 */

/**
 * @template T
 * @typedef {Failure | { kind: "ok", code: "", status: number, value: T }} Answer
 */

/**
 * Reads a body, or answers nothing if it makes no sense. `shift` brings a time of the service's clock to this device's clock.
 * @template T
 * @typedef {(body: Record<string, any>, shift: number) => T | undefined} Read
 */

/**
 * @template T
 * @param {Response} response
 * @param {Record<string, any>} body
 * @param {number} sentAt
 * @param {Read<T>} read
 * @returns {Answer<T>}
 */
function answerOf({ ok, status, headers }, body, sentAt, read) {
  if (ok) {
    // Without a readable date, both clocks count as equal.
    const value = read(body, sentAt - (Date.parse(headers.get("date") ?? "") || sentAt));
    return value ? { kind: "ok", code: "", status, value } : { kind: "defect", code: "invalid_response", status };
  }
  const code = typeof body.code === "string" ? body.code : `http_${status}`;
  const seconds = Number(headers.get("retry-after") ?? body.retry_after);
  return { kind: kindOf(status, code), code, status, ms: seconds > 0 ? Math.min(seconds * 1000, LONGEST_WAIT) : undefined };
}

/**
 * @param {number} status
 * @param {string} code
 * @returns {Failure["kind"]}
 */
function kindOf(status, code) {
  if (status === 401 || code === "user_gone") return "signed-out";
  if (status === 403) return "denied";
  if (status === 429 || status === 503) return "wait";
  return status >= 500 && !REFUSED_BY_WHOP.includes(code) ? "defect" : "broken";
}

/** @type {Read<ChatToken>} */
function chatToken({ token, expires_at, refresh_after }, shift) {
  const expiresAt = Date.parse(expires_at) + shift;
  const refreshAt = Math.max(Date.parse(refresh_after) + shift, Date.now() + SHORTEST_USE);
  return typeof token === "string" && token && expiresAt && refreshAt ? { token, expiresAt, refreshAt } : undefined;
}

/**
 * The `sub` of a JWT that Cognito issued. It is not verified here: the service does that.
 * @param {string} jwt
 */
function subject(jwt) {
  try {
    return JSON.parse(atob((jwt.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/"))).sub;
  } catch {
    return undefined;
  }
}

/**
 * @param {string} json
 * @returns {Record<string, any>}
 */
function parsed(json) {
  try {
    return Object(JSON.parse(json));
  } catch {
    return {};
  }
}
