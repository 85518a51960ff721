// Whop Elements 1.10, against whop-elements-1.10.d.ts. Only compiled: Whop's packages are not on npm.
import { loadWhop, type ChatOptions } from "@whop/elements";
import { Chat as WhopChat, ChatElement, WhopElements } from "@whop/elements-react";
import { ChatError, ChatTokens } from "whop-chat-auth-client";
import { pushToken } from "whop-chat-auth-client/push";
import { usePushToken } from "whop-chat-auth-client/react";

declare const apiUrl: string;
declare const accountId: string;
declare const cognitoToken: (how: { forceRefresh: boolean }) => Promise<string | undefined>;

const elements = loadWhop();

export function Chat({ userId, ...channel }: { userId: string } & ChatOptions) {
  const { accessToken, error, retry } = usePushToken({ apiUrl, userId, cognitoToken, elements });
  if (error) return <button onClick={retry}>{error.show}</button>;
  return (
    <WhopElements elements={elements}>
      {accessToken && (
        <WhopChat {...channel} accessToken={accessToken} accountId={accountId}>
          <ChatElement />
        </WhopChat>
      )}
    </WhopElements>
  );
}

export async function plain() {
  const whop = (await loadWhop())({ environment: "production" });
  const tokens = new ChatTokens({ apiUrl, userId: "sub", cognitoToken });
  const stop = pushToken(
    tokens,
    (accessToken) => whop.chat.create({ accessToken, accountId }),
    (error) => console.log(error instanceof ChatError ? error.show : error),
  );
  return () => (tokens.close(), stop());
}
