// better-auth as its documentation sets it up: a session cookie is exchanged for an ES256 token at /api/auth/token.
import cluster from "node:cluster";
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import pg from "pg";

const auth = betterAuth({
  baseURL: `http://127.0.0.1:${process.env.PORT}`,
  secret: process.env.BETTER_AUTH_SECRET,
  database: new pg.Pool(), // where it is, the PG… variables say
  emailAndPassword: { enabled: true },
  plugins: [jwt({ jwks: { keyPairConfig: { alg: "ES256" } } })],
  rateLimit: { enabled: false }, // or it would refuse the load
  session: { cookieCache: { enabled: false } }, // a session that was revoked is refused at once, as ours is
  telemetry: { enabled: false },
});

if (cluster.isPrimary) {
  await (await getMigrations(auth.options)).runMigrations();
  for (let worker = 0; worker < Number(process.env.WEB_CONCURRENCY); worker++) cluster.fork();
  process.on("SIGTERM", () => process.exit());
} else {
  createServer(toNodeHandler(auth)).listen(Number(process.env.PORT), "127.0.0.1");
}
