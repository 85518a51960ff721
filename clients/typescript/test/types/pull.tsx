// The React app of docs/clients.md against Whop's packages 1.2.0. Only compiled.
import { ChatElement, ChatSession, Elements } from "@whop/embedded-components-react-js";
import { loadWhopElements } from "@whop/embedded-components-vanilla-js";
import { ChatTokens } from "whop-chat-auth-client";
import { pullToken } from "whop-chat-auth-client/pull";
import { usePullToken } from "whop-chat-auth-client/react";

declare const apiUrl: string;
declare const fetchAuthSession: (options: { forceRefresh: boolean }) => Promise<{ tokens?: { accessToken: { toString(): string } } }>;

const elements = loadWhopElements();
const cognitoToken = async (how: { forceRefresh: boolean }) => (await fetchAuthSession(how)).tokens?.accessToken.toString();

export function Chat({ userId, channelId }: { userId: string; channelId: string }) {
  const { token, session, error, wait, retry } = usePullToken({ apiUrl, userId, cognitoToken, elements });
  if (error) return <button onClick={retry}>{error.show}</button>;
  return (
    <Elements elements={elements}>
      <ChatSession token={token} ref={session}>
        <ChatElement options={{ channelId }} fallback={<p>{wait ? `The chat is back in ${wait.ms} ms` : "…"}</p>} />
      </ChatSession>
    </Elements>
  );
}

export const app = <Chat key="sub" userId="sub" channelId="chat_feed_1" />;

export async function plain(container: HTMLElement) {
  const tokens = new ChatTokens({ apiUrl, userId: "sub", cognitoToken, features: ["channels"] });
  const session = (await loadWhopElements())?.createChatSession({ token: pullToken(tokens) });
  session?.createElement("chat-element", { channelId: "chat_feed_1" }).mount(container);
  await tokens.sync();
  return () => (tokens.close(), session?.destroy());
}
