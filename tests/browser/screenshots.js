/** Takes pictures of the page, in light and dark, into the folder that the command line names. */

import { join } from "node:path";

import { click, done, getToken, openChat, send, signIn } from "./steps.js";
import { PAGE_URL, startBrowser } from "./world.js";

const [, , folder] = process.argv;
const browser = await startBrowser();
for (const colorScheme of ["light", "dark"]) {
  const context = await browser.newContext({ viewport: { width: 1300, height: 1000 }, colorScheme });
  const page = await context.newPage();
  await page.goto(PAGE_URL);
  await page.waitForSelector("html[data-ready]");
  await signIn(page);
  await done(page, "sync");
  await getToken(page);
  await click(page, "Deny this user");
  await page.getByText("The user is denied").waitFor();
  await click(page, "Get a token");
  await page.getByText("denied: user_denied").waitFor();
  await click(page, "Allow this user");
  await page.getByText("The user is allowed").waitFor();
  await getToken(page);
  await send(await openChat(page, "embedded components 1.2"), `Hello from Cognito, in ${colorScheme}`);
  await page.waitForFunction(() => [...document.querySelectorAll("#log tr")].filter(({ textContent }) => /minted/.test(textContent)).length > 1);
  await page.screenshot({ path: join(folder, `page-${colorScheme}.png`), fullPage: true });
  await context.close();
}
await browser.close();
