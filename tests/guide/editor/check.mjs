// What an editor makes of the guide's configurations: yaml-language-server, spoken to as an editor does.
//
//   node check.mjs SETTINGS FOLDER REPOSITORY
//
// SETTINGS is what the guide tells to put into the editor's settings. FOLDER has what run.py has left there of each page:
// configurations that the library opens have no diagnostics; where one has a mistake (*.mistake, and what the library
// says, *.said), the editor marks it, or the library alone sees it (LIBRARY_ONLY). Then: does a user see what keys there
// are, and what they mean?
import {spawn} from 'node:child_process';
import {existsSync, readFileSync, readdirSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, join, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

const [settings, folder, root] = process.argv.slice(2);
const server = createRequire(resolve(folder, '../editor/x.js')).resolve('yaml-language-server/bin/yaml-language-server');
// What a schema cannot say: variables, files, and what is between two keys or in a query's text.
const LIBRARY_ONLY = [/environment variable/, /declares no variable/, /TLS is required/];
const wrong = [];
const check = (good, what) => good || wrong.push(what);

// ---- an editor ----

const child = spawn(process.execPath, [server, '--stdio'], {stdio: ['pipe', 'pipe', 'inherit']});
const waiting = new Map(), diagnostics = new Map();
let last = 0, unread = Buffer.alloc(0);

function send(message) {
  const body = Buffer.from(JSON.stringify({jsonrpc: '2.0', ...message}));
  child.stdin.write(`Content-Length: ${body.length}\r\n\r\n`);
  child.stdin.write(body);
}

function request(method, params) {
  send({id: ++last, method, params});
  return new Promise((done, failed) => waiting.set(last, {done, failed}));
}

function receive(message) {
  if (message.method === 'textDocument/publishDiagnostics') {
    diagnostics.get(message.params.uri)?.(message.params.diagnostics);
  } else if (message.method && message.id !== undefined) {
    // It asks for the settings, section by section.
    const sections = {yaml: {schemas, completion: true, hover: true, validate: true}};
    const result = message.method === 'workspace/configuration' ? message.params.items.map((i) => sections[i.section] ?? null) : null;
    send({id: message.id, result});
  } else if (waiting.has(message.id)) {
    const {done, failed} = waiting.get(message.id);
    waiting.delete(message.id);
    message.error ? failed(new Error(message.error.message)) : done(message.result);
  }
}

child.stdout.on('data', (data) => {
  unread = Buffer.concat([unread, data]);
  for (;;) {
    const head = unread.indexOf('\r\n\r\n');
    const length = head < 0 ? 0 : Number(/Content-Length: (\d+)/i.exec(unread.toString('latin1', 0, head))[1]);
    if (head < 0 || unread.length < head + 4 + length) return;
    const body = unread.toString('utf8', head + 4, head + 4 + length);
    unread = unread.subarray(head + 4 + length);
    receive(JSON.parse(body));
  }
});

// The schema's path is relative to the folder that is open: this repository.
const schemas = {};
for (const [path, files] of Object.entries(JSON.parse(readFileSync(settings))['yaml.schemas'])) {
  schemas[pathToFileURL(resolve(root, path)).href] = files;
}
let documents = 0;

// Opens a text, under a name that the settings speak of unless it is told, and gives its diagnostics by line, from 1.
async function open(text, path = `${folder}/${++documents}.connector.yaml`) {
  const uri = pathToFileURL(resolve(path)).href;
  const told = new Promise((done) => diagnostics.set(uri, done));
  send({method: 'textDocument/didOpen', params: {textDocument: {uri, languageId: 'yaml', version: 1, text}}});
  const found = (await told).map((d) => ({line: d.range.start.line + 1, message: d.message}));
  return {uri, found};
}

// The labels that are offered, and the hover's text, at the mark `|`.
async function at(marked) {
  const before = marked.slice(0, marked.indexOf('|')).split('\n');
  const position = {line: before.length - 1, character: before.at(-1).length};
  const {uri, found} = await open(marked.replace('|', ''));
  const where = {textDocument: {uri}, position};
  const offered = await request('textDocument/completion', where);
  const hover = await request('textDocument/hover', where);
  const items = (offered?.items ?? offered ?? []).map((item) => item.label);
  return {items, found, hover: (hover?.contents?.value ?? '').replaceAll('\\', '')};
}

// ---- what it shows ----

function* configurations() {
  for (const page of readdirSync(folder)) {
    const inside = join(folder, page, 'configurations');
    if (!existsSync(inside)) continue;
    yield* readdirSync(inside).filter((name) => /^\d+\./.test(name) && !name.endsWith('.said')).map((name) => join(inside, name));
  }
}

await request('initialize', {
  processId: process.pid, rootUri: pathToFileURL(root).href,
  capabilities: {workspace: {configuration: true}, textDocument: {hover: {contentFormat: ['markdown']}}},
});
send({method: 'initialized', params: {}});
send({method: 'workspace/didChangeConfiguration', params: {settings: {}}});

let opened = 0, selves = 0;
for (const file of configurations()) {
  const text = readFileSync(file, 'utf8');
  // One that says which schema is its own is to need no settings.
  const itself = text.includes('yaml-language-server:');
  const {found} = await open(text, itself ? file : undefined);
  if (itself) {
    const {found} = await open(`${text}timout: 5\n`, join(dirname(file), 'wrong.yaml'));
    check(found.some((d) => d.message.includes('timout')), `${file}: its schema is not read: ${JSON.stringify(found)}`);
    selves++;
  }
  const said = found.map((d) => `line ${d.line}: ${d.message}`).join('; ');
  if (!file.endsWith('.mistake')) {
    check(!found.length, `${file}: the library opens it, the editor says: ${said}`);
  } else {
    const why = readFileSync(file.replace(/mistake$/, 'said'), 'utf8');
    const alone = LIBRARY_ONLY.some((words) => words.test(why));
    check(found.length > 0 !== alone, `${file}: the library says ${why} The editor says ${said || 'nothing'}`);
  }
  opened++;
}

check(selves > 0, 'no configuration of the guide says which schema is its own');

const base = 'base_url: https://api.example.com\n';
const top = await at(`${base}a|`);
for (const key of ['auth', 'allow_origins', 'accept_encoding', 'endpoints', 'timeout']) {
  check(top.items.includes(key), `at the top, ${key} is not offered: ${top.items}`);
}
const type = await at(`${base}auth:\n  type: |`);
for (const name of ['none', 'api_key', 'bearer', 'basic', 'digest', 'oauth2', 'oauth2_refresh', 'oauth2_pkce', 'oauth2_device_flow', 'sigv4']) {
  check(type.items.includes(name), `as a type of auth, ${name} is not offered: ${type.items}`);
}
const bearer = await at(`${base}auth:\n  type: bearer\n  |`);
check(bearer.items.includes('token'), `of bearer, token is not offered: ${bearer.items}`);
check(!bearer.items.includes('password'), `of bearer, password is offered: ${bearer.items}`);
const endpoint = await at(`${base}endpoints:\n  users:\n    |`);
for (const key of ['path', 'method', 'pagination', 'response_path', 'retry']) {
  check(endpoint.items.includes(key), `of an endpoint, ${key} is not offered: ${endpoint.items}`);
}
const api_key = await at(`${base}auth:\n  type: api_key\n  in: |`);
for (const place of ['header', 'query', 'cookie']) {
  check(api_key.items.includes(place), `as a place of an API key, ${place} is not offered: ${api_key.items}`);
}
for (const [text, words] of [
  [`${base}auth:\n  ty|pe: bearer\n  token: abcdef`, '`sigv4`: AWS Signature Version 4'],
  [`${base}timeou|t: 5`, 'seconds'],
  [`${base}auth:\n  type: bearer\n  to|ken: abcdef`, 'token'],
  [`${base}auth:\n  type: api_key\n  key: abcdef\n  heade|r: X-Key`, 'X-API-Key'],
  [`${base}endpoints:\n  users:\n    response_pat|h: data`, 'JSON Pointer'],
]) {
  const {hover} = await at(text);
  check(hover.includes(words), `the hover in ${JSON.stringify(text)} does not say ${words}: ${JSON.stringify(hover)}`);
}
for (const [text, line, words] of [
  [`${base}timout: 5\n`, 2, 'timout is not allowed'],
  [`${base}auth:\n  type: bearer\n  tokn: abcdef\n`, 4, 'tokn is not allowed'],
  [`${base}auth:\n  type: baerer\n  token: abcdef\n`, 3, '"api_key", "bearer"'],
  [`${base}endpoints:\n  users:\n    pth: /users\n`, 4, 'pth is not allowed'],
  [`${base}retry_count: three\n`, 2, 'must be a whole number'],
  [`${base}limits: {max_body: much}\n`, 2, '64KiB'],
]) {
  const {found} = await open(text);
  const good = found.some((d) => d.line === line && d.message.includes(words));
  check(good, `line ${line} of ${JSON.stringify(text)} is not marked with ${words}: ${JSON.stringify(found)}`);
}

child.kill();
wrong.forEach((what) => console.log(`FAILED  ${what}`));
if (!wrong.length) console.log(`ok      an editor: ${opened} configurations, completion, hover and mistakes`);
process.exit(wrong.length ? 1 : 0);
