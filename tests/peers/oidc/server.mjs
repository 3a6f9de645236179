// An OpenID provider (npm's oidc-provider) on a loopback address, as the token service of the tests. Its argument is
// JSON: `ttl`, lifetimes in seconds; `certificate`, the file of the application that signs its requests.
// Prints one line of JSON with its address.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// The provider's warnings are about production; standard output is for one line.
console.info = console.warn = () => {};
// The packages are in the folder that tests/run installs them in.
const folder = path.join(process.env.LYNCSH_TEST_OIDC, 'node_modules/oidc-provider/lib/index.js');
const { Provider } = await import(pathToFileURL(folder));
const options = JSON.parse(process.argv[2] ?? '{}');
const server = http.createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}/tenant`;

const publicKey = (file) => ({
  ...crypto.createPublicKey(fs.readFileSync(file)).export({ format: 'jwk' }),
  alg: 'PS256',
  use: 'sig',
});
const application = { grant_types: ['client_credentials'], response_types: [], redirect_uris: [] };
const user = { application_type: 'native', token_endpoint_auth_method: 'none' };
const provider = new Provider(issuer, {
  clients: [
    {
      ...user,
      client_id: 'device',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
      response_types: [],
      redirect_uris: [],
    },
    {
      ...user,
      client_id: 'browser',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: ['http://localhost'],
    },
    { ...application, client_id: 'secret', client_secret: 's3cret&=+ %', token_endpoint_auth_method: 'client_secret_post' },
    ...(options.certificate
      ? [
          {
            ...application,
            client_id: 'certificate',
            token_endpoint_auth_method: 'private_key_jwt',
            token_endpoint_auth_signing_alg: 'PS256',
            jwks: { keys: [publicKey(options.certificate)] },
          },
        ]
      : []),
  ],
  cookies: { keys: ['test'] },
  enabledJWA: { clientAuthSigningAlgValues: ['PS256'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
  },
  issueRefreshToken: () => true,
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'shell'],
  ttl: { AccessToken: 3600, ClientCredentials: 3600, DeviceCode: 600, RefreshToken: 3600, ...options.ttl },
});

// The kinds of all grants, and all tokens that a client received.
const grants = [];
const tokens = [];
provider.on('grant.success', (context) => {
  grants.push(context.oidc.params.grant_type);
  tokens.push(context.body.access_token, context.body.refresh_token);
});
provider.on('server_error', (_, error) => console.error(error));
const callback = provider.callback();
server.on('request', async (request, response) => {
  const answer = (body) => response.end(JSON.stringify(body));
  if (request.url === '/test/grants') return answer({ grants, tokens: tokens.filter(Boolean) });
  if (request.url === '/test/token') {
    const token = request.headers.authorization?.replace(/^Bearer /, '');
    const found = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token));
    return answer({ active: Boolean(found), client: found?.clientId, account: found?.accountId });
  }
  // The provider is mounted at the path of a tenant.
  if (!request.url.startsWith('/tenant/')) return response.writeHead(404).end();
  request.originalUrl = request.url;
  request.url = request.url.slice('/tenant'.length);
  return callback(request, response);
});
console.log(JSON.stringify({ issuer }));
// Ends with the test.
process.stdin.resume().on('end', () => process.exit());
