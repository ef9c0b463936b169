// One client of the service through oauth4webapi, which checks each answer by the RFCs. Prints all answers as JSON.
import * as oauth from "oauth4webapi";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, USER_REFRESH_TOKEN } = process.env;
const http = { [oauth.allowInsecureRequests]: true }; // for tests: http on loopback
const issuer = new URL(ISSUER);
const client = { client_id: CLIENT_ID };
const [basic, post] = [oauth.ClientSecretBasic(CLIENT_SECRET), oauth.ClientSecretPost(CLIENT_SECRET)];
const answers = {};

const discovery = await oauth.discoveryRequest(issuer, { ...http, algorithm: "oauth2" });
const server = answers.metadata = await oauth.processDiscoveryResponse(issuer, discovery);

async function credentials(authentication, parameters) {
  const response = await oauth.clientCredentialsGrantRequest(server, client, authentication, parameters, http);
  return oauth.processClientCredentialsResponse(server, client, response);
}

async function refresh(token, authentication = oauth.None()) {
  const response = await oauth.refreshTokenGrantRequest(server, client, authentication, token, http);
  return oauth.processRefreshTokenResponse(server, client, response);
}

async function generic(grantType, parameters) {
  const response = await oauth.genericTokenEndpointRequest(server, client, basic, grantType, parameters, http);
  return oauth.processGenericTokenEndpointResponse(server, client, response);
}

async function introspect(token, authentication = basic) {
  const response = await oauth.introspectionRequest(server, client, authentication, token, http);
  return oauth.processIntrospectionResponse(server, client, response);
}

async function revoke(token) {
  const response = await oauth.revocationRequest(server, client, oauth.None(), token, http);
  return oauth.processRevocationResponse(response);
}

function exchange(subjectToken, scope) {
  return generic("urn:ietf:params:oauth:grant-type:token-exchange", {
    subject_token: subjectToken,
    subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
    scope,
  });
}

// The error of RFC 6749, 5.2, or the status and the scheme of the WWW-Authenticate that the library reads first.
async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    if (error instanceof oauth.ResponseBodyError) return [error.status, error.error];
    if (error instanceof oauth.WWWAuthenticateChallengeError) return [error.status, error.cause[0].scheme];
    throw error;
  }
}

answers.basic = await credentials(basic, {});
answers.post = await credentials(post, { scope: "files:read" });
answers.refreshed = await refresh(USER_REFRESH_TOKEN);
const user = answers.refreshed.access_token;
answers.exchanged = await exchange(user, "files:read offline_access");
answers.delegated = await refresh(answers.exchanged.refresh_token);
answers.active = await introspect(user);
answers.activeExchanged = await introspect(answers.delegated.access_token, post);
await revoke(USER_REFRESH_TOKEN);
await revoke("unknown");
answers.revoked = await introspect(user);
answers.stillActive = await introspect(answers.delegated.access_token);

answers.errors = {
  refresh: await refused(refresh(USER_REFRESH_TOKEN)),
  exchange: await refused(exchange(user, "files:read")),
  scope: await refused(credentials(basic, { scope: "special:read" })),
  grant: await refused(generic("password", { username: "ada", password: "secret" })),
  parameter: await refused(generic("refresh_token", {})),
  client: await refused(credentials(oauth.ClientSecretBasic("wrong"), {})),
  introspection: await refused(introspect(user, oauth.ClientSecretPost("wrong"))),
};
console.log(JSON.stringify(answers));
