/** What takes its time: a circuit of the service that opens and closes again, and waits that end. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { ALLOWED_ORIGIN, breakIt, configuration, newUser, openApp, serveApp, startBrowser } from "./world.js";

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
    await page.evaluate(() => ask("call"));
    const wait = await (await page.waitForFunction(() => seen.waits[0])).jsonValue();
    if (what === "limit") {
      const least = (await configuration()).limitedSeconds * 1000;
      assert.equal(wait.code, "whop_rate_limited");
      assert.ok(wait.ms >= least && wait.ms <= least * 1.65, `Retry-After is read across origins: ${wait.ms}`);
    }
    if (what === "down") await breakIt("repair"); // the limit ends by itself

    await page.waitForFunction(() => window.call.state === "token", null, { timeout: 90_000 });
  });
}
