// oauth2-mock-server, whose tokens live for 2 seconds and whose refresh tokens work once; /userinfo is the API that
// takes them: server.mjs PORT
//
// Its hooks make the faults that are asked for: `?faults=ok,500` behind /token or /userinfo has a client's first
// request there answered well and its second one with 500.
import { createServer } from 'node:http'
import { OAuth2Server } from 'oauth2-mock-server'

const LIFE = 2
const { issuer, service } = new OAuth2Server()
const port = Number(process.argv[2])
issuer.url = `http://127.0.0.1:${port}`
await issuer.keys.generate('ES256')

// By client: its requests, at each of the two places, and the refresh token that is good now.
const clients = new Map()
const known = (id) => clients.get(id) ?? clients.set(id, { token: [], api: [], refresh: 'canary-refresh-0' }).get(id)
// By token: whose it is, and when it ends.
const issued = new Map()

// What a client's next request is to get, which is the last one where there are no more.
const fault = (req, told) => (req.query.faults ?? 'ok').split(',')[told.length] ?? 'ok'
const answer = (response, told, status, error, said = '') => {
  told.push(error ?? status)
  response.statusCode = status
  if (error) response.body = { error, error_description: `${error}, as it was wished ${said}` }
}

service.on('beforeTokenSigning', (token) => (token.payload.exp = token.payload.iat + LIFE))
service.on('beforeResponse', (response, { query, body }) => {
  const client = known(body.client_id)
  const wish = fault({ query }, client.token)
  // Some servers say back whatever they were told, in whatever form.
  const said = Object.values(body).flatMap((value) => [value, Buffer.from(value).toString('base64')])
  const echo = `${new URLSearchParams(body)} ${said.join(' ')}`
  if (wish === '500') return answer(response, client.token, 500, 'server_error', echo)
  const spent = body.grant_type === 'refresh_token' && body.refresh_token !== client.refresh
  if (spent || wish !== 'ok') return answer(response, client.token, 400, spent ? 'spent' : wish, echo)
  answer(response, client.token, 200)
  response.body.expires_in = LIFE
  client.refresh = response.body.refresh_token
  issued.set(response.body.access_token, { client, ends: Date.now() + LIFE * 1000 })
})
service.on('beforeUserinfo', (response, req) => {
  const token = issued.get(req.headers.authorization?.replace(/^Bearer /, ''))
  const { api } = token?.client ?? known('nobody')
  const refused = !token || token.ends <= Date.now() || fault(req, api) === '401'
  answer(response, api, refused ? 401 : 200, refused ? 'invalid_token' : undefined, req.headers.authorization)
})

createServer((req, res) => {
  const { pathname, searchParams } = new URL(req.url, issuer.url)
  if (pathname !== '/seen') return service.requestHandler(req, res)
  const { token, api } = known(searchParams.get('client'))
  res.end(JSON.stringify({ token, api }))
}).listen(port, '127.0.0.1')
