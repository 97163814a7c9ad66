// An authorization server, and an API that takes its tokens, which live for 2 seconds: server.mjs PORT SECRET KEY
// SECRET is that of the clients that have one; KEY is a file with the public key of the one that signs.
import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { errors, Provider } from 'oidc-provider'

const [port, secret, key] = process.argv.slice(2)
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code'
const LIFE = 2

const client = (client_id, token_endpoint_auth_method, grant_types, more) => ({
  client_id,
  token_endpoint_auth_method,
  grant_types,
  redirect_uris: [],
  response_types: [],
  ...(token_endpoint_auth_method.startsWith('client_secret') && { client_secret: secret }),
  ...more,
})
const jwk = { ...createPublicKey(readFileSync(key)).export({ format: 'jwk' }), kid: 'key-1', alg: 'ES256', use: 'sig' }
const browser = {
  application_type: 'native',
  redirect_uris: ['http://127.0.0.1/back'],
  response_types: ['code'],
}

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    client('by basic: +', 'client_secret_basic', ['client_credentials']),
    client('by-post', 'client_secret_post', ['client_credentials']),
    client('by-key', 'private_key_jwt', ['client_credentials'], { jwks: { keys: [jwk] } }),
    client('rotating', 'client_secret_basic', ['authorization_code', 'refresh_token'], browser),
    client('robbed', 'client_secret_basic', ['authorization_code', 'refresh_token'], browser),
    client('narrow', 'client_secret_post', ['client_credentials'], { scope: 'read' }),
    client('public', 'none', ['authorization_code', 'refresh_token'], browser),
    client('device', 'none', [DEVICE, 'refresh_token']),
    client('hasty-device', 'none', [DEVICE]),
    client('refused-device', 'none', [DEVICE]),
    client('short-device', 'none', [DEVICE]),
  ],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
  scopes: ['openid', 'offline_access', 'read', 'write'],
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    // Its answers would be of another kind of token.
    resourceIndicators: { enabled: false },
  },
  // A token is refused as soon as it has ended.
  clockTolerance: 0,
  rotateRefreshToken: true,
  ttl: {
    AccessToken: LIFE,
    ClientCredentials: LIFE,
    DeviceCode: (_, __, { clientId }) => (clientId === 'short-device' ? 3 : 60),
    RefreshToken: 3600,
    Grant: 3600,
    IdToken: 3600,
    Interaction: 3600,
    Session: 3600,
  },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
})
provider.on('server_error', (_, error) => console.error(error))

// What each client was answered: by the token endpoint, and by the API.
const seen = new Map()
const count = (id, what) => {
  const counts = seen.get(id) ?? seen.set(id, {}).get(id)
  counts[what] = (counts[what] ?? 0) + 1
}
// Whose a token is, for those that have ended: the API's refusals are counted, too.
const owners = new Map()
const remember = (token) => owners.set(token.jti, token.clientId)
provider.on('access_token.saved', remember)
provider.on('client_credentials.saved', remember)

const api = async (ctx) => {
  const token = /^Bearer (.+)$/.exec(ctx.get('Authorization'))?.[1] ?? ''
  const found = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token))
  count(owners.get(token), found ? 'let in' : 'refused')
  if (!found) {
    ctx.status = 401
    ctx.set('WWW-Authenticate', 'Bearer error="invalid_token"')
    ctx.body = { message: `no such token: ${token}` }
    return
  }
  ctx.body = { client: found.clientId, account: found.accountId, scope: found.scope }
  if (ctx.query.cut) {
    ctx.respond = false
    ctx.res.writeHead(200, { 'Content-Length': 1 << 20, ETag: '"a file"' })
    ctx.res.write('half of it', () => ctx.res.destroy())
  }
}

// A refresh token, as if a user had agreed long ago.
const seed = async (ctx) => {
  const grant = new provider.Grant({ accountId: 'ann', clientId: ctx.query.client })
  grant.addOIDCScope('openid offline_access read')
  const token = new provider.RefreshToken({
    client: await provider.Client.find(ctx.query.client),
    accountId: 'ann',
    grantId: await grant.save(),
    gty: 'authorization_code',
    scope: 'openid offline_access read',
    sessionUid: 'long-ago',
    authTime: 1,
    iiat: Math.floor(Date.now() / 1000),
  })
  ctx.body = { refresh_token: await token.save() }
}

const ours = {
  '/api': api,
  '/seed': seed,
  '/seen': (ctx) => (ctx.body = seen.get(ctx.query.client) ?? {}),
}
const echo = ({ headers, oidc }) => {
  const said = Object.values(oidc.body ?? {}).filter((value) => value !== undefined)
  const forms = said.map((value) => [value, encodeURIComponent(value), Buffer.from(value).toString('base64')])
  return JSON.stringify([headers.authorization, new URLSearchParams(oidc.body).toString(), ...forms.flat()])
}
const slowed = new Set()
provider.use(async (ctx, next) => {
  if (ours[ctx.path]) return ours[ctx.path](ctx)
  await next()
  // The provider says no interval, so that 5 seconds are meant, and calls nobody hasty.
  if (ctx.path === '/device/auth') ctx.body.interval = 1
  if (ctx.path !== '/token') return
  const id = ctx.oidc.client?.clientId
  if (id === 'hasty-device' && !slowed.has(ctx.oidc.params.device_code)) {
    slowed.add(ctx.oidc.params.device_code)
    const { error, error_description } = new errors.SlowDown()
    ctx.body = { error, error_description }
  }
  count(id, ctx.body.error ?? 'token')
  // Some servers say back whatever they were told, in whatever form.
  if (ctx.body.error) ctx.body = { ...ctx.body, error_description: `${ctx.body.error_description} ${echo(ctx)}` }
})
provider.listen(Number(port), '127.0.0.1')
