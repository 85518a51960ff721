/** Where Whop sends the user back to: hands the answer in the fragment to the page that began, and closes the window. */

const answer = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
history.replaceState(null, "", location.pathname);
new BroadcastChannel("linked").postMessage(answer);
window.close();
