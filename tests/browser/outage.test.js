/** What takes its time: a circuit of the service that opens and closes again, and waits that end. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { ALLOWED_ORIGIN, breakIt, newUser, openApp, serveApp, startBrowser } from "./world.js";

let browser;
let close;

before(async () => {
  browser = await startBrowser();
  close = await serveApp(ALLOWED_ORIGIN);
});

after(async () => {
  await breakIt("repair");
  await close();
  await browser.close();
});

for (const what of ["limit", "down"]) {
  test(`a call goes on after Whop's trouble (${what}), without a reload of the page`, async () => {
    const page = await openApp(await browser.newContext(), await newUser());
    await breakIt(what);
    const answer = page.waitForResponse((response) => response.status() === 503);
    await page.evaluate(() => ask("call"));
    const least = 1000 * (await answer).headers()["retry-after"];
    const { ms } = await (await page.waitForFunction(() => seen.waits[0])).jsonValue();
    assert.ok(ms > least - 100 && ms <= least * 1.1, `${ms}: Retry-After is read across origins`);
    if (what === "down") await breakIt("repair"); // the limit ends by itself

    await page.waitForFunction(() => window.call.state === "token", null, { timeout: 90_000 });
  });
}
