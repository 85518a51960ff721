/** This page's clock. "Expire the token" moves it on, as if the page had been open for so long. */

const now = Date.now;
let ahead = 0;

Date.now = () => now() + ahead;

export function moveOn(ms) {
  ahead += ms;
}
