// A small loop on the Lambda Runtime API: AWS's own client for Node (aws-lambda-ric) needs a C++ toolchain to install.
// It loads less than AWS's does, which favours Node.
//
// Every TLS connection ends at the stubs, as with the Python candidates (bench/start_candidate.py). The stubs' authority
// comes by NODE_EXTRA_CA_CERTS, on top of Node's own.

"use strict";

const http = require("node:http");
const path = require("node:path");
const tls = require("node:tls");

const port = Number(process.env.BENCH_PORT);
if (!port) throw new Error("BENCH_PORT is missing");

const connect = tls.connect;
tls.connect = (options, ...rest) =>
  connect({ ...options, servername: options.servername || options.host, host: "127.0.0.1", port }, ...rest);

const [hostname, apiPort] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function call(method, route, body = "") {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Length": Buffer.byteLength(body) };
    const options = { hostname, port: apiPort, agent, method, headers, path: `/2018-06-01/runtime/${route}` };
    const request = http.request(options, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(parts).toString() }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function main() {
  const { handler } = require(path.join(process.env.LAMBDA_TASK_ROOT, "index.js"));
  for (;;) {
    const event = await call("GET", "invocation/next");
    const id = event.headers["lambda-runtime-aws-request-id"];
    try {
      await call("POST", `invocation/${id}/response`, JSON.stringify(await handler(JSON.parse(event.body))));
    } catch (error) {
      await call("POST", `invocation/${id}/error`, JSON.stringify({ errorMessage: String(error) }));
    }
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
