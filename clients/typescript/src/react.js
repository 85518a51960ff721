/** React hooks for both generations of Whop's chat. Give the component that calls one `key={userId}`. */

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ChatError, ChatTokens } from "./chat-tokens.js";
import { pullToken } from "./pull.js";
import { pushToken } from "./push.js";

/** @import { Options } from "./chat-tokens.js" */

/**
 * What both hooks answer. `error`: show a fallback in place of the chat. `wait`: why there is no token yet, and the
 * milliseconds to wait. `retry` starts again after an error.
 * @typedef {{ error?: ChatError, wait?: { code: string, ms?: number }, retry: () => void }} State
 */

/**
 * The tokens of a user, until the component is unmounted.
 * @param {Omit<Options, "onWait">} options
 * @param {PromiseLike<unknown>} script The promise of the chat's script. It rejects if the script is blocked.
 */
function useChatTokens(options, script) {
  const { apiUrl, userId } = options;
  const latest = useRef(options);
  useEffect(() => void (latest.current = options));
  const [{ attempt, error, wait }, setState] = useState(
    /** @returns {{ attempt: number, error?: ChatError, wait?: { code: string, ms?: number } }} */ () => ({ attempt: 0 }),
  );

  const tokens = useMemo(
    () =>
      new ChatTokens({
        apiUrl,
        userId,
        features: latest.current.features,
        cognitoToken: (how) => latest.current.cognitoToken(how),
        onWait: (wait) => setState((state) => ({ ...state, wait })),
      }),
    [apiUrl, userId, attempt],
  );
  useEnd(tokens, () => tokens.close());

  const done = useCallback(() => setState(({ attempt, error }) => ({ attempt, error })), []);
  const failed = useCallback((/** @type {unknown} */ cause) => {
    const error = cause instanceof ChatError ? cause : new ChatError("broken", "chat_failed");
    setState(({ attempt }) => ({ attempt, error }));
  }, []);
  const retry = useCallback(() => setState(({ attempt }) => ({ attempt: attempt + 1 })), []);

  useEffect(() => {
    let mounted = true;
    Promise.resolve(script).catch(() => mounted && failed(new ChatError("broken", "script_blocked")));
    return () => void (mounted = false);
  }, [script, attempt, failed]);

  return { tokens, done, failed, state: /** @type {State} */ ({ error, wait, retry }) };
}

/**
 * For `<ChatSession token={token} ref={session}>` of Whop's embedded components 1.2. `token` keeps its identity.
 * @param {Omit<Options, "onWait"> & { elements: PromiseLike<unknown> }} options `elements` is `loadWhopElements()`.
 */
export function usePullToken({ elements, ...options }) {
  const { tokens, done, failed, state } = useChatTokens(options, elements);
  const token = useMemo(() => {
    const pull = pullToken(tokens);
    return async (/** @type {{ abortSignal: AbortSignal }} */ call) => {
      try {
        const token = await pull(call);
        done();
        return token;
      } catch (error) {
        if (error instanceof ChatError && error.code !== "signed_out") failed(error);
        throw error;
      }
    };
  }, [tokens, done, failed]);
  const [session] = useState(lastSession);
  useEnd(session, () => session.destroy());
  return { ...state, token, session };
}

/**
 * For `<Chat accessToken={accessToken}>` of Whop Elements 1.10. Render the chat once there is an `accessToken`.
 * @param {Omit<Options, "onWait"> & { elements: PromiseLike<unknown> }} options `elements` is `loadWhop()`.
 */
export function usePushToken({ elements, ...options }) {
  const { tokens, done, failed, state } = useChatTokens(options, elements);
  const [accessToken, setAccessToken] = useState(/** @type {string | undefined} */ (undefined));
  useEffect(() => {
    const show = (/** @type {string} */ token) => (setAccessToken(token), done());
    const chat = { update: ({ accessToken = "" }) => show(accessToken), destroy: () => setAccessToken(undefined) };
    return pushToken(tokens, (token) => (show(token), chat), failed);
  }, [tokens, done, failed]);
  return { ...state, accessToken };
}

/** A ref that still knows the session after React has cleared it: Whop's component never destroys the session. */
function lastSession() {
  /** @type {{ chatSession: { destroy(): void } | null } | null} */
  let last = null;
  return {
    /** @type {any} A setter has the type of its getter, and Whop's session has more members. */
    get current() {
      return last;
    },
    set current(session) {
      last = session ?? last;
    },
    destroy() {
      last?.chatSession?.destroy();
    },
  };
}

/**
 * Ends `thing` when the component is unmounted, but not when React's strict mode only pretends.
 * @param {object} thing
 * @param {() => void} end
 */
function useEnd(thing, end) {
  const ending = useRef(/** @type {{ thing: object, timer: ReturnType<typeof setTimeout> } | undefined} */ (undefined));
  useEffect(() => {
    if (ending.current?.thing === thing) clearTimeout(ending.current.timer);
    return () => void (ending.current = { thing, timer: setTimeout(end) });
  }, [thing]);
}
