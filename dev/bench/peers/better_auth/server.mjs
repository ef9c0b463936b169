// better-auth as its documentation sets it up: a session cookie is exchanged for an ES256 token at /api/auth/token.
import cluster from "node:cluster";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import pg from "pg";

const auth = betterAuth({
  baseURL: `http://127.0.0.1:${process.env.PORT ?? 0}`,
  secret: process.env.SECRET_KEY,
  database: new pg.Pool(), // where it is, the PG… variables say
  emailAndPassword: { enabled: true },
  plugins: [jwt({ jwks: { keyPairConfig: { alg: "ES256" } } })],
  rateLimit: { enabled: false }, // or it would refuse the load
  session: { cookieCache: { enabled: false } }, // a session that was revoked is refused at once, as ours is
  telemetry: { enabled: false },
});

const users = Number(process.argv[2]); // to make, and to print a request of each; without any, serve
if (users) {
  await (await getMigrations(auth.options)).runMigrations();
  for (let number = 0; number < users; number++) {
    const body = { name: "Ada", email: `user-${number}@example.org`, password: randomBytes(16).toString("hex") };
    const answer = await auth.api.signUpEmail({ body, asResponse: true });
    const cookie = answer.headers.get("set-cookie").split(";")[0];
    console.log(JSON.stringify(["GET", "/api/auth/token", { Cookie: cookie }]));
  }
  process.exit();
} else if (cluster.isPrimary) {
  for (let worker = 0; worker < Number(process.env.WEB_CONCURRENCY); worker++) cluster.fork();
  process.on("SIGTERM", () => process.exit());
} else {
  createServer(toNodeHandler(auth)).listen(Number(process.env.PORT), "127.0.0.1");
}
