// The same job in Node: aws-jwt-verify, AWS SDK v3 and Whop's SDK, one client of each kind, kept; the token verified in
// full, the table read strongly consistent, the key kept for five minutes.

import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import Whop from "@whop/sdk";
import { CognitoJwtVerifier } from "aws-jwt-verify";

const SCOPES = {
  channels: ["chat:read", "chat:message:create"],
  dms: ["dms:read", "dms:message:manage", "dms:channel:manage"],
  support: ["support_chat:read", "support_chat:message:create"],
};
const KEY_AGE_MS = 300_000;
const env = process.env;

const verifier = CognitoJwtVerifier.create({
  userPoolId: env.USER_POOL_ID,
  tokenUse: "access",
  clientId: env.USER_POOL_CLIENT_IDS.split(","),
});
const dynamodb = new DynamoDBClient();
const secrets = new SecretsManagerClient();

let whop;
let whopSince = 0;

async function currentWhop() {
  if (!whop || Date.now() - whopSince > KEY_AGE_MS) {
    const secret = await secrets.send(new GetSecretValueCommand({ SecretId: env.WHOP_SECRET_ARN }));
    whop = new Whop({ apiKey: secret.SecretString, baseURL: `${env.WHOP_BASE_URL}/api/v1` });
    whopSince = Date.now();
  }
  return whop;
}

const answer = (statusCode, body) => ({
  statusCode,
  headers: { "Content-Type": "application/json", "Cache-Control": "no-store" },
  body: JSON.stringify(body),
});

export async function handler(event) {
  let claims;
  try {
    claims = await verifier.verify(event.headers.authorization.replace(/^Bearer /, ""));
  } catch {
    return answer(401, { code: "unauthorized" });
  }
  if (!claims.username) {
    return answer(401, { code: "unauthorized" });
  }
  const { features = Object.keys(SCOPES) } = event.body ? JSON.parse(event.body) : {};
  const [{ Item: item }, client] = await Promise.all([
    dynamodb.send(
      new GetItemCommand({
        TableName: env.USERS_TABLE,
        Key: { pk: { S: `USER#${env.USER_POOL_ID}#${claims.sub}` } },
        ConsistentRead: true,
      }),
    ),
    currentWhop(),
  ]);
  if (item?.status.S !== "linked") {
    return answer(403, { code: "not_enrolled" });
  }
  const now = Date.now();
  const scopes = features.flatMap((feature) => SCOPES[feature]).sort();
  const granted = await client.accessTokens.create({
    company_id: env.WHOP_COMPANY_ID,
    user_id: item.whop_user_id.S,
    scoped_actions: scopes,
    expires_at: new Date(now + Number(env.TOKEN_TTL_MINUTES) * 60_000).toISOString(),
  });
  const life = Date.parse(granted.expires_at) - now;
  console.log(JSON.stringify({ level: "INFO", message: "token minted", sub: claims.sub, scopes }));
  return answer(200, {
    token: granted.token,
    expires_at: granted.expires_at,
    refresh_after: new Date(now + 0.8 * life).toISOString(),
    scopes,
  });
}
