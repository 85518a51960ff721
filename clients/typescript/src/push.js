/** For Whop Elements 1.10: a chat is mounted with a token, and given the next one before it expires. */

/** @import { ChatTokens } from "./chat-tokens.js" */

/**
 * What this needs of a chat's handle.
 * @typedef {{ update(options: { accessToken: string }): void, destroy(): void }} Chat
 */

/**
 * Mounts a chat with the first token, and updates it until the returned function is called. That destroys the chat.
 * A `ChatError` destroys it too, and is reported to `onError`.
 * @param {ChatTokens} tokens
 * @param {(accessToken: string) => Chat} mount
 * @param {(error: unknown) => void} onError
 * @returns {() => void}
 */
export function pushToken(tokens, mount, onError) {
  const stopped = new AbortController();
  const { signal } = stopped;
  /** @type {Chat | undefined} */
  let chat;

  function stop() {
    stopped.abort();
    chat?.destroy();
    chat = undefined;
  }

  async function follow() {
    let shown = "";
    for (;;) {
      const { token, refreshAt } = await tokens.token({ signal });
      if (signal.aborted) return;
      if (!chat) chat = mount(token);
      else if (token !== shown) chat.update({ accessToken: token });
      shown = token;
      await tokens.sleep(refreshAt, signal);
    }
  }

  follow().catch((error) => {
    if (signal.aborted) return;
    stop();
    onError(error);
  });
  return stop;
}
