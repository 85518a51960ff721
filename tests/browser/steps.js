/** The steps of the page of `make dev`, as its user takes them. */

export const click = (page, name) => page.getByRole("button", { name, exact: true }).click();

export const done = (page, step) => page.waitForSelector(`#step-${step}.done`);

export async function signIn(page) {
  await click(page, "Sign up");
  await done(page, "sign-up");
  await click(page, "Read the mail");
  await page.waitForFunction(() => document.getElementById("code").value.length === 6);
  await click(page, "Confirm");
  await done(page, "confirm");
  await click(page, "Sign in");
  await done(page, "sign-in");
}

export async function getToken(page) {
  await click(page, "Get a token");
  await done(page, "mint");
}

/** Connects the Whop account of `email`, in the window that the page opens. Returns when that window has closed. */
export async function connect(page, email, decision = "Allow") {
  const opened = page.context().waitForEvent("page");
  await click(page, "Connect my Whop account");
  const whop = await opened;
  await whop.getByLabel("Whop e-mail").fill(email);
  const closed = whop.waitForEvent("close");
  await click(whop, decision);
  await closed;
}

export async function openChat(page, generation) {
  await page.getByLabel(generation).check();
  await click(page, "Open the chat");
  await done(page, "chat");
  return page.frameLocator("#chat iframe");
}

export async function send(chat, text) {
  await chat.getByRole("textbox", { name: "Message" }).fill(text);
  await chat.getByRole("button", { name: "Send" }).click();
  await chat.getByRole("listitem").filter({ hasText: text }).first().waitFor();
}
