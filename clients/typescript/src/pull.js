/** For Whop's embedded components 1.2: a `ChatSession` pulls tokens from a function. */

/** @import { ChatTokens } from "./chat-tokens.js" */

/**
 * The option `token` of `createChatSession`. Make it once: a `ChatSession` takes another function for another source.
 * @param {ChatTokens} tokens
 * @returns {(options: { abortSignal: AbortSignal }) => Promise<string>}
 */
export function pullToken(tokens) {
  return async ({ abortSignal }) => (await tokens.token({ signal: abortSignal })).token;
}
