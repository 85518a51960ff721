// The React app of docs/clients.md against Whop's packages 1.2.0. Only compiled.
import { ChatElement, ChatSession, Elements } from "@whop/embedded-components-react-js";
import { loadWhopElements } from "@whop/embedded-components-vanilla-js";
import { ChatTokens, type ChatError } from "whop-chat-auth-client";
import { pullToken } from "whop-chat-auth-client/pull";
import { usePullToken } from "whop-chat-auth-client/react";

declare const apiUrl: string;
declare const Fallback: (props: Pick<ChatError, "show">) => null;
declare const fetchAuthSession: (options: {
  forceRefresh: boolean;
}) => Promise<{ tokens?: { accessToken: { toString(): string } } }>;

const elements = loadWhopElements();
const cognitoToken = async (how: { forceRefresh: boolean }) => (await fetchAuthSession(how)).tokens?.accessToken.toString();

export function Chat({ userId, channelId }: { userId: string; channelId: string }) {
  const { token, session, error } = usePullToken({ apiUrl, userId, cognitoToken, elements });
  if (error) return <Fallback show={error.show} />;
  return (
    <Elements elements={elements}>
      <ChatSession token={token} ref={session}>
        <ChatElement options={{ channelId }} />
      </ChatSession>
    </Elements>
  );
}

export const app = <Chat key="sub" userId="sub" channelId="chat_feed_1" />;

export async function withAdapter() {
  const tokens = new ChatTokens({ apiUrl, userId: "sub", cognitoToken, features: ["channels"], onWait: ({ ms }) => ms });
  (await loadWhopElements())?.createChatSession({ token: pullToken(tokens) });
  await tokens.sync();
}
