// Serves an OpenID provider on loopback and says so on standard output; ends when standard input ends.
//
// The one argument is JSON: clients (their metadata), jwks (one set of private keys for each rotation), acrValues.
// Nobody types passwords: GET /interaction/ID tells what is asked for, POST /interaction/ID with {"login", "acr"}
// (or {"abort": true}) answers. POST /rotate goes on to the next keys.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const config = JSON.parse(process.argv[2]);
let provider;

function makeProvider(issuer) {
  return new Provider(issuer, {
    clients: config.clients,
    jwks: config.jwks.shift(),
    acrValues: config.acrValues,
    // Its own guard refuses this machine's addresses, where the tests listen for logouts.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    cookies: { keys: ['made for one test'] },
    claims: { openid: ['sub', 'sid'], profile: ['name', 'given_name', 'family_name'], email: ['email', 'email_verified'], role: ['role', 'site'] },
    scopes: ['openid', 'profile', 'email', 'role'],
    conformIdTokenClaims: config.conformIdTokenClaims ?? false,
    enabledJWA: { userinfoSigningAlgValues: ['ES256', 'RS256'], idTokenSigningAlgValues: ['ES256', 'RS256'] },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      jwtUserinfo: { enabled: true },
    },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({
        sub: id, name: `${id} Exemple`, given_name: id, family_name: 'Exemple',
        email: `${id}@example.org`, email_verified: true, role: 'GESTIONNAIRE', site: 'mairie-specimen',
      }),
    }),
  });
}

async function body(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text ? JSON.parse(text) : {};
}

async function interact(request, response) {
  const details = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ prompt: details.prompt, params: details.params, session: details.session }));
    return;
  }
  const answer = await body(request);
  if (answer.abort) {
    const refused = { error: 'access_denied', error_description: 'refused by the person' };
    await provider.interactionFinished(request, response, refused);
    return;
  }
  const grant = new provider.Grant({ accountId: answer.login, clientId: details.params.client_id });
  grant.addOIDCScope(details.params.scope);
  const result = { login: { accountId: answer.login, acr: answer.acr }, consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result);
}

const server = createServer((request, response) => {
  const path = request.url.split('?')[0];
  if (path.startsWith('/interaction/')) {
    interact(request, response).catch((error) => { response.statusCode = 500; response.end(String(error)); });
  } else if (path === '/rotate') {
    provider = makeProvider(provider.issuer);
    response.end();
  } else {
    provider.callback()(request, response);
  }
});
server.listen(config.port ?? 0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  provider = makeProvider(issuer);
  console.log(issuer);
});
process.stdin.on('end', () => process.exit(0)).resume();
