// An OpenID provider of another make, for one client. Whoever comes is who the header X-Person says, and
// has the roles that were last put to /roles/{person}.
import http from 'node:http';
import { Provider } from 'oidc-provider';

const [, , lodge] = process.argv;
const server = http.createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const roles = new Map();
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'lodge',
      client_secret: 'a secret between the two',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [`${lodge}/redirect_uri`],
      post_logout_redirect_uris: [`${lodge}/`],
      backchannel_logout_uri: `${lodge}/auth/backchannel-logout`,
      backchannel_logout_session_required: true,
    },
  ],
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, preferred_username: id, roles: roles.get(id) ?? [] }) }),
  claims: { openid: ['sub', 'sid'], profile: ['preferred_username', 'roles'] },
  issueRefreshToken: () => true,
  conformIdTokenClaims: false,
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  // Its own fetch goes to no loopback address, where Lodge is here.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  cookies: { keys: ['for nothing but tests'] },
});

async function interact(req, res) {
  const { prompt, params, session } = await provider.interactionDetails(req, res);
  if (prompt.name === 'login') {
    return provider.interactionFinished(req, res, { login: { accountId: req.headers['x-person'] } });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope('openid profile email');
  return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } });
}

const handle = provider.callback();
server.on('request', (req, res) => {
  if (req.method === 'PUT' && req.url.startsWith('/roles/')) {
    const [, , person, ...has] = req.url.split('/');
    roles.set(person, has);
    return res.end();
  }
  if (!req.url.startsWith('/interaction/')) return handle(req, res);
  return interact(req, res).catch((error) => {
    res.statusCode = 500;
    res.end(String(error));
  });
});
provider.on('server_error', (_, error) => console.error(error));
provider.on('backchannel.error', (_, error) => console.error('back-channel', error));
console.log(issuer);
