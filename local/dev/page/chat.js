/** The chat in the page, by the simulator's stand-in for either of Whop's scripts. */

import { pullToken } from "/client/pull.js";
import { pushToken } from "/client/push.js";

const FILE = { embedded: "embedded-components.js", elements: "whop-elements.js" };

/** Both scripts own `window.WhopElements`, so one page has one of them at a time. */
async function load(whopUrl, generation) {
  delete window.WhopElements;
  const script = document.createElement("script");
  script.src = `${whopUrl}/elements/${FILE[generation]}`;
  await new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = () => reject(new Error("Whop’s script is blocked"));
    document.head.append(script);
  });
  script.remove();
  return window.WhopElements;
}

/** Opens the chat in `target`; a function that closes it. A failure goes to `onError`. */
export async function openChat({ generation, configuration, tokens, target, onError }) {
  const { whopUrl, companyId: accountId, channelId } = configuration;
  const WhopElements = await load(whopUrl, generation);
  if (generation === "embedded") {
    const session = new WhopElements().createChatSession({ token: pullToken(tokens) });
    session.on("tokenRefreshError", onError);
    session.createElement("chat-element", { channelId }).mount(target);
    return () => session.destroy();
  }
  const whop = WhopElements({ environment: "production" });
  return pushToken(
    tokens,
    (accessToken) => {
      const chat = whop.chat.create({ accessToken, accountId, channelId });
      chat.mount(target);
      return chat;
    },
    onError,
  );
}
