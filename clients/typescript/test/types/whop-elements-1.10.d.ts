// What Whop's documents and public source say about Whop Elements 1.10, as far as a chat needs it. The packages are not
// on npm, so nothing here was compiled or run against them. Each line names its evidence:
//   [1.10]  docs.whop.com/elements/latest/chat/overview, for 1.10.0
//   [1.1]   docs.whop.com/elements/latest/getting-started, for 1.1.0
//   [source] whopio/elements on GitHub, about 1.1
//   [inferred] follows from the others

declare module "@whop/elements" {
  export function loadWhop(): Promise<WhopConstructor>; // [1.1] (await loadWhop())({…}); [source] rejects without window
  export type WhopConstructor = (options: WhopOptions) => Whop; // [1.1] called without `new`
  export interface WhopOptions {
    environment?: "production" | "sandbox"; // [1.1] "sandbox isn't available for Whop Elements yet"
    locale?: string; // [1.1]
  }
  export interface Whop {
    chat: { create(options: ChatOptions): ChatHandle }; // [1.10] whop.chat.create({…})
  }
  export interface ChatOptions {
    accessToken?: string; // [1.10] without a mark that it is required
    accountId?: string; // [1.10] biz_…, without that mark
    locale?: string; // [1.10]
    onChannelChange?: (channel: unknown) => void; // [1.10] the name only; [inferred] its argument
    onLoadingChange?: (loading: unknown) => void; // [1.10] the name only; [inferred] its argument
  }
  export interface ChatHandle {
    update(options: Partial<ChatOptions>): void; // [1.10] merges into every mounted element
    destroy(): void; // [1.10] idempotent; every other call is refused afterwards
  }
}

declare module "@whop/elements-react" {
  import type { ReactNode } from "react";
  import type { ChatOptions, WhopConstructor } from "@whop/elements";

  export function WhopElements(props: {
    elements: Promise<WhopConstructor> | null; // [source] null defers; [1.1] elements={loadWhop()}
    children?: ReactNode; // [1.1]
  }): ReactNode; // [1.1]
  export function Chat(props: ChatOptions & { children?: ReactNode }): ReactNode; // [1.10] <Chat accessToken accountId>
  export function ChatElement(props: { onError?: (error: { message: string; code?: string }) => void }): ReactNode; // [1.10]
}
