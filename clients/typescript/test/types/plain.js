// @ts-check
// The page of docs/clients.md without React. Only compiled.
import { loadWhopElements as load } from "@whop/embedded-components-vanilla-js";
import { ChatTokens } from "whop-chat-auth-client";

/** @type {any} What the page has around it. */
const page = globalThis;
const { apiUrl, userId, cognitoToken, channelId, fallback, welcome } = page;
const loadWhopElements = /** @type {() => Promise<NonNullable<Awaited<ReturnType<typeof load>>>>} */ (load);

const tokens = new ChatTokens({ apiUrl, userId, cognitoToken });
const token = async (/** @type {{ abortSignal: AbortSignal }} */ { abortSignal }) => (await tokens.token({ signal: abortSignal })).token;

const elements = await loadWhopElements();
const session = elements.createChatSession({ token });
session.createElement("chat-element", { channelId }).mount("#chat");
tokens.token().catch((error) => fallback(error.show));

export async function connect() {
  location.assign(await tokens.link(`${location.origin}/linked`));
}

// on the page /linked
export async function linked() {
  const answer = new URLSearchParams(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  if (answer.has("error")) return fallback("link-account");
  const { name, username } = await tokens.complete(answer.get("result") ?? "");
  welcome(name ?? username);
}

export function signOut() {
  tokens.close();
  session.destroy();
}
