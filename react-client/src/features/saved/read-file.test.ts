import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { type Collection, MOST } from './model';
import { readFileText } from './read-file';

interface Read {
  readonly from: string;
  readonly collection: Collection;
  readonly notes: string[];
}

const read = (file: unknown): Read => readText(JSON.stringify(file));

function readText(text: string): Read {
  const found = readFileText(text);
  if (!found.ok) throw new Error(found.problem);
  const notes = found.notes.map(({ what, count, names }) =>
    [`${String(count)} ${what}`, ...names].join(' | '),
  );
  return { from: found.from, collection: found.collection, notes };
}

/** Each connection in a line or two. */
const shown = ({ connections }: Collection) =>
  connections.map(({ name, address, headers, messages }) => ({
    [name]: address,
    ...(headers.length > 0 && {
      headers: headers.map((one) => `${one.name}: ${one.value}${one.secret ? ' (secret)' : ''}`),
    }),
    ...(messages.length > 0 && {
      messages: messages.map((one) => `${one.name}|${one.mode}|${one.text}`),
    }),
  }));

describe('Hoppscotch', () => {
  const request = (name: string, endpoint: string, more = {}) => ({
    v: '17',
    name,
    method: 'GET',
    endpoint,
    params: [],
    headers: [],
    preRequestScript: '',
    testScript: '',
    auth: { authType: 'inherit', authActive: true },
    body: { contentType: null, body: null },
    requestVariables: [],
    responses: {},
    ...more,
  });
  const collection = {
    v: 11,
    name: 'Chat',
    folders: [
      {
        v: 11,
        name: 'Rooms',
        folders: [],
        requests: [
          request('room', 'wss://<<host>>/room?x=1', {
            params: [
              { key: 'token', value: '<<token>>', active: true },
              { key: 'a b', value: 'c&d', active: true },
              { key: 'off', value: '1', active: false },
            ],
            headers: [{ key: 'Authorization', value: 'Bearer <<token>>', active: true }],
            body: { contentType: 'application/json', body: '{"join":"<<room>>"}' },
            testScript: 'pw.test()',
          }),
        ],
        headers: [],
        variables: [],
      },
    ],
    requests: [
      request('login', 'https://example.org/login'),
      request('echo', 'ws://localhost:1/', { auth: { authType: 'basic', username: 'x' } }),
      { v: 8, name: 'gql', url: 'https://example.org/graphql', query: '{a}' },
    ],
    auth: { authType: 'none', authActive: true },
    headers: [{ key: 'X-All', value: '1', active: true }],
    variables: [
      { key: 'host', initialValue: 'h', currentValue: '', secret: false },
      { key: 'token', initialValue: '', currentValue: 'abc', secret: true },
      { key: 'not a name', initialValue: '', currentValue: '' },
    ],
  };

  it('collections are read, with what has no place here counted and named', () => {
    const { from, collection: found, notes } = read([collection]);
    expect(from).toBe('Hoppscotch collection');
    expect(shown(found)).toEqual([
      { echo: 'ws://localhost:1/', headers: ['X-All: 1'] },
      {
        'Rooms / room': 'wss://{{host}}/room?x=1&token={{token}}&a%20b=c%26d',
        headers: ['X-All: 1', 'Authorization: Bearer {{token}} (secret)'],
        messages: ['|json|{"join":"{{room}}"}'],
      },
    ]);
    expect(found.environments).toEqual([
      {
        name: 'Chat',
        variables: [
          { name: 'host', value: 'h', secret: false },
          { name: 'token', value: 'abc', secret: true },
        ],
      },
    ]);
    expect(notes).toEqual([
      '1 variables whose name cannot stand in {{…}} | not a name',
      '1 HTTP requests | login',
      '1 authorizations (basic): set the header yourself | echo',
      '1 GraphQL requests | gql',
      '1 test scripts | Rooms / room',
      '1 headers and parameters that are switched off | off',
    ]);
  });

  it('its request over WebSocket and its environments are read', () => {
    expect(
      read({
        endpoint: 'wss://echo-websocket.hoppscotch.io',
        protocols: [
          { value: 'mqtt', active: true },
          { value: 'off', active: false },
        ],
      }),
    ).toMatchObject({
      from: 'Hoppscotch realtime request',
      collection: {
        connections: [{ address: 'wss://echo-websocket.hoppscotch.io', subprotocols: ['mqtt'] }],
      },
      notes: ['1 subprotocols that are switched off'],
    });
    const environment = { v: 2, id: 'x', name: 'Test' };
    const variables = [{ key: 'a', initialValue: 'i', currentValue: 'c', secret: false }];
    const older = { name: 'Older', variables: [{ key: 'a', value: '<<b>>' }] };
    expect(read([{ ...environment, variables }, older]).collection.environments).toEqual([
      { name: 'Test', variables: [{ name: 'a', value: 'c', secret: false }] },
      { name: 'Older', variables: [{ name: 'a', value: '{{b}}', secret: false }] },
    ]);
  });
});

describe('Postman', () => {
  const SCHEMA = 'https://schema.getpostman.com/json/collection/v2.1.0/collection.json';

  it('collections v2.1 are read, with what has no place here counted and named', () => {
    const { from, collection, notes } = read({
      info: { _postman_id: 'x', name: 'Game', schema: SCHEMA },
      item: [
        { name: 'login', request: { method: 'POST', url: { raw: 'https://x.org/login' } } },
        {
          name: 'Live',
          auth: { type: 'bearer', bearer: [{ key: 'token', value: '{{token}}', type: 'string' }] },
          item: [
            {
              name: 'play',
              event: [{ listen: 'test', script: { exec: ['pm.test()'] } }],
              request: {
                method: 'GET',
                header: [
                  { key: 'X-Id', value: '7', type: 'text' },
                  { key: 'X-Off', value: '8', disabled: true },
                ],
                body: { mode: 'raw', raw: '{\n "type": "update"\n}' },
                url: {
                  raw: 'ws://localhost:3000/ws/:match_id?token={{token}}',
                  protocol: 'ws',
                  host: ['localhost'],
                  port: '3000',
                  path: ['ws', ':match_id'],
                  query: [{ key: 'token', value: '{{token}}' }],
                  variable: [{ key: 'match_id', value: '{{match}}' }],
                },
              },
              response: [{ name: 'example' }],
            },
            { name: 'form', request: { url: '{{socket}}/form', body: { mode: 'formdata' } } },
            { name: 'by method', request: { method: 'WEBSOCKET', url: '{{nowhere}}/x' } },
            {
              name: 'parts',
              request: {
                auth: {
                  type: 'apikey',
                  apikey: [
                    { key: 'key', value: 'k' },
                    { key: 'value', value: 'v' },
                    { key: 'in', value: 'query' },
                  ],
                },
                url: {
                  protocol: 'wss',
                  host: ['x', 'org'],
                  path: ['a', 'b'],
                  query: [
                    { key: 'c', value: 'd' },
                    { key: 'e', value: 'f', disabled: true },
                  ],
                },
              },
            },
            { name: 'basic', request: { auth: { type: 'basic' }, url: 'ws://x/' } },
            7,
          ],
        },
      ],
      variable: [
        { key: 'socket', value: 'wss://s.org' },
        { key: 'off', value: '', disabled: true },
      ],
    });
    expect(from).toBe('Postman collection');
    expect(shown(collection)).toEqual([
      {
        'Live / play': 'ws://localhost:3000/ws/{{match}}?token={{token}}',
        headers: ['Authorization: Bearer {{token}} (secret)', 'X-Id: 7'],
        messages: ['|json|{\n "type": "update"\n}'],
      },
      { 'Live / form': '{{socket}}/form', headers: ['Authorization: Bearer {{token}} (secret)'] },
      {
        'Live / by method': '{{nowhere}}/x',
        headers: ['Authorization: Bearer {{token}} (secret)'],
      },
      { 'Live / parts': 'wss://x.org/a/b?c=d&k=v' },
      { 'Live / basic': 'ws://x/' },
    ]);
    expect(collection.environments).toEqual([
      { name: 'Game', variables: [{ name: 'socket', value: 'wss://s.org', secret: false }] },
    ]);
    expect(notes).toEqual([
      '1 variables that are switched off | off',
      '1 HTTP requests | login',
      '1 scripts | Live / play',
      '1 examples of responses | Live / play',
      '1 headers that are switched off | X-Off',
      '1 bodies of the kind formdata | Live / form',
      '1 authorizations (basic): set the header yourself | Live / basic',
      '1 items that are no object | Live /',
    ]);
  });

  it('collections of several protocols are read with their messages', () => {
    const { collection, notes } = read({
      type: 'collection',
      title: 'Telemetry',
      payload: { variables: [{ key: 'host', value: 'h' }] },
      children: [
        {
          type: 'folder',
          title: 'F',
          children: [
            {
              type: 'ws-raw-request',
              title: 'stream',
              payload: {
                url: 'wss://{{host}}/telemetry',
                headers: [{ key: 'Cookie', value: 'a=b' }],
                queryParams: [
                  { key: 'q', value: '1' },
                  { key: 'r', value: '2', disabled: true },
                ],
                settings: { handshakeTimeout: 0 },
              },
              children: [
                { type: 'ws-raw-message', title: 'hi', payload: { type: 'text', content: 'hi' } },
                { type: 'ws-raw-message', title: 'j', payload: { type: 'json', content: '{}' } },
                {
                  type: 'ws-raw-message',
                  payload: { type: 'binary', subtype: 'base64', content: '3q0=' },
                },
                {
                  type: 'ws-raw-message',
                  payload: { type: 'binary', subtype: 'hex', content: 'de ad' },
                },
                { type: 'ws-raw-message', payload: { type: 'binary', content: '%' } },
              ],
            },
          ],
        },
        { type: 'grpc-request', title: 'grpc', payload: {} },
        { type: 'ws-socketio-request', title: 'sio', payload: {} },
      ],
    });
    expect(shown(collection)).toEqual([
      {
        'F / stream': 'wss://{{host}}/telemetry?q=1',
        headers: ['Cookie: a=b (secret)'],
        messages: ['hi|text|hi', 'j|json|{}', '|binary|de ad', '|binary|de ad'],
      },
    ]);
    expect(notes).toEqual([
      '1 settings of a request | F / stream',
      '1 binary messages that are not base64',
      '1 requests of the kind grpc-request | grpc',
      '1 requests of the kind ws-socketio-request | sio',
    ]);
  });

  it('environments are read, and a dump of all there is', () => {
    const environment = {
      id: 'x',
      name: 'staging',
      values: [
        { key: 'base', value: 'http://h', type: 'default', enabled: true },
        { key: 'token', value: 't', type: 'secret', enabled: true },
        { key: 'id', value: 10, enabled: true },
        { key: 'off', value: '', enabled: false },
      ],
      _postman_variable_scope: 'environment',
    };
    const variables = [
      { name: 'base', value: 'http://h', secret: false },
      { name: 'token', value: 't', secret: true },
      { name: 'id', value: '10', secret: false },
    ];
    expect(read(environment).collection.environments).toEqual([{ name: 'staging', variables }]);
    const item = [{ name: 'a', request: { url: 'ws://a/' } }];
    const dump = { version: 1, collections: [{ info: { name: 'C' }, item }, 3] };
    const { collection, notes } = read({ ...dump, environments: [environment] });
    expect(shown(collection)).toEqual([{ a: 'ws://a/' }]);
    expect(collection.environments).toEqual([{ name: 'staging', variables }]);
    expect(notes).toEqual([
      '1 parts of the dump of a form that is not known',
      '1 variables that are switched off | off',
    ]);
  });
});

describe('a HAR file', () => {
  const entry = (url: string, more: object = {}, headers: object[] = []) => ({
    startedDateTime: '2026-01-01T00:00:00.000Z',
    request: { method: 'GET', url, headers, cookies: [] },
    response: { status: 101 },
    ...more,
  });
  const har = (...entries: object[]) => ({ log: { version: '1.2', creator: {}, entries } });

  it('becomes connections with what was sent, each message once, and all else counted', () => {
    const { from, collection, notes } = read(
      har(
        entry('https://example.org/'),
        entry(
          'wss://example.org/socket?token=1',
          {
            _resourceType: 'websocket',
            _webSocketMessages: [
              { type: 'send', time: 1, opcode: 1, data: '{"a":1}' },
              { type: 'receive', time: 2, opcode: 1, data: 'hello' },
              { type: 'send', time: 3, opcode: 2, data: 'AAEC' },
              { type: 'send', time: 4, opcode: 1, data: '{"a":1}' },
              { type: 'send', time: 5, opcode: 9, data: '' },
              { type: 'send', time: 5, opcode: 2, data: '%' },
              { type: 'error', time: 6, opcode: -1, data: 'Invalid frame header' },
            ],
          },
          [
            { name: 'Host', value: 'example.org' },
            { name: ':authority', value: 'example.org' },
            { name: 'Sec-WebSocket-Protocol', value: 'graphql-ws, mqtt' },
            { name: 'Sec-WebSocket-Key', value: 'x' },
            { name: 'Origin', value: 'https://example.org' },
            { name: 'cookie', value: 'sid=1' },
          ],
        ),
        entry('wss://example.org/quiet'),
        entry('https://example.org/as-http', { _webSocketMessages: [{ type: 'send', data: 'x' }] }),
      ),
    );
    expect(from).toBe('HAR');
    expect(shown(collection)).toEqual([
      {
        'example.org/socket · 1': 'wss://example.org/socket?token=1',
        headers: ['Origin: https://example.org', 'cookie: sid=1 (secret)'],
        messages: ['|json|{"a":1}', '|binary|00 01 02'],
      },
      { 'example.org/quiet · 2': 'wss://example.org/quiet' },
      { 'example.org/as-http · 3': 'wss://example.org/as-http', messages: ['|text|x'] },
    ]);
    expect(collection.connections[0]?.subprotocols).toEqual(['graphql-ws', 'mqtt']);
    expect(notes).toEqual([
      '1 requests over HTTP',
      '1 messages that were received',
      '1 messages that were sent once more',
      '1 frames that are no messages, such as pings',
      '1 binary messages that are not base64',
      '1 errors and other events',
      '1 connections whose messages the file does not have | example.org/quiet · 2',
    ]);
  });

  it('without a WebSocket is refused, and says what there was', () => {
    const file = JSON.stringify(har(entry('https://a/'), entry('https://b/')));
    expect(readFileText(file)).toEqual({
      ok: false,
      problem: 'In this HAR is no WebSocket, but 2 × requests over HTTP.',
    });
  });
});

describe('a file of no known form', () => {
  it.each(['', '{', 'hello', '[1,', '\u0000'])('is no JSON: %j', (text) => {
    expect(readFileText(text)).toEqual({ ok: false, problem: 'This file is not JSON.' });
  });

  it('with as many brackets as one likes is refused, not followed', () => {
    expect(readFileText('['.repeat(1e6)).ok).toBe(false);
    expect(readFileText('['.repeat(1e5) + ']'.repeat(1e5)).ok).toBe(false);
    const begin = '{"name": "x", "requests": [{"name": "a", "endpoint": "ws://a/"}], "folders": [';
    const { collection, notes } = readText(begin.repeat(1_000) + ']}'.repeat(1_000));
    expect(collection.connections).toHaveLength(MOST.depth + 2);
    expect(notes.at(-1)).toMatch(/^1 folders too deep within others/);
  });

  it('never makes the readers throw, whatever stands where', () => {
    const keys = fc.constantFrom(
      ...['format', 'version', 'log', 'entries', 'request', 'url', 'raw', 'info', 'item', 'name'],
      ...['folders', 'requests', 'endpoint', 'protocols', 'values', 'variables', 'collections'],
      ...['_webSocketMessages', 'headers', 'header', 'body', 'auth', 'type', 'children', 'payload'],
      ...['connections', 'environments', 'address', 'automation', 'heartbeat', 'rules', 'event'],
      ...['query', 'variable', 'params', 'key', 'value', 'opcode', 'data', 'messages', '__proto__'],
    );
    const leaf = fc.oneof(
      fc.constantFrom('ws://a/', 'echo-trio.collection', 'ws-raw-request', 'folder', 'send', 1, ''),
      fc.jsonValue({ maxDepth: 1 }),
    );
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 6, depthSize: 'large' },
        leaf,
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(keys, tie('tree'), { maxKeys: 6 }),
      ),
    }));
    fc.assert(
      fc.property(tree, (file) => {
        const text = JSON.stringify(file);
        const found = readFileText(text);
        expect(found.ok ? found.from : found.problem).not.toBe('');
      }),
      { numRuns: 500 },
    );
  });
});
