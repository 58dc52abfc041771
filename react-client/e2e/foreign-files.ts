import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { REPOSITORY } from './launcher';

/** A file as one has it of another program, and what the page says is in it. */
export interface ForeignFile {
  readonly name: string;
  readonly content: string;
  readonly holds: string;
}

const LONG_NAME = 'a request whose name is much longer than any list has room for, '.repeat(3);
const LONG_ADDRESS = `wss://gateway.eu-central-1.example.org/${'rooms/'.repeat(30)}`;

const HOPPSCOTCH = [
  {
    v: 11,
    name: 'Chat',
    folders: [
      {
        v: 11,
        name: 'Rooms',
        folders: [],
        requests: [
          {
            v: '17',
            name: 'general',
            method: 'GET',
            endpoint: 'wss://<<host>>/rooms/general',
            params: [
              { key: 'token', value: '<<token>>', active: true },
              { key: 'debug', value: '1', active: false },
            ],
            headers: [{ key: 'Authorization', value: 'Bearer <<token>>', active: true }],
            body: { contentType: 'application/json', body: '{"join": "<<room>>"}' },
            preRequestScript: 'pw.env.set()',
            testScript: 'pw.test()',
            auth: { authType: 'inherit', authActive: true },
          },
          { v: '17', name: LONG_NAME, method: 'GET', endpoint: LONG_ADDRESS },
        ],
      },
    ],
    requests: [
      { v: '17', name: 'login', method: 'POST', endpoint: 'https://example.org/login' },
      { v: 8, name: 'a query', url: 'https://example.org/graphql', query: '{a}' },
    ],
    variables: [
      { key: 'host', initialValue: 'example.org', currentValue: '' },
      { key: 'token', initialValue: '', currentValue: 'abc', secret: true },
      { key: 'not a name', initialValue: '', currentValue: '' },
    ],
  },
];

const POSTMAN = {
  info: {
    _postman_id: 'x',
    name: 'Game',
    schema: 'https://schema.getpostman.com/json/collection/v2.1.0/collection.json',
  },
  item: [
    { name: 'login', request: { method: 'POST', url: { raw: 'https://example.org/login' } } },
    {
      name: 'Live',
      auth: { type: 'bearer', bearer: [{ key: 'token', value: '{{token}}', type: 'string' }] },
      item: [
        {
          name: 'play',
          event: [{ listen: 'test', script: { exec: ['pm.test()'] } }],
          request: {
            header: [
              { key: 'X-Id', value: '7', type: 'text' },
              { key: 'X-Off', value: '8', disabled: true },
            ],
            body: { mode: 'raw', raw: '{\n "type": "update"\n}' },
            url: { raw: 'ws://localhost:3000/ws?token={{token}}' },
          },
          response: [{ name: 'example' }],
        },
        { name: 'שחק שוב', request: { url: 'ws://localhost:3000/again' } },
        { name: 'basic', request: { auth: { type: 'basic' }, url: 'ws://localhost:3000/' } },
      ],
    },
  ],
  variable: [{ key: 'socket', value: 'wss://example.org' }],
};

const HAR = {
  log: {
    entries: [
      ...Array.from({ length: 31 }, () => ({ request: { url: 'https://example.org/' } })),
      {
        request: {
          url: LONG_ADDRESS,
          headers: [
            { name: 'Cookie', value: 'session=42' },
            { name: 'Sec-WebSocket-Protocol', value: 'chat.v2, chat.v1' },
          ],
        },
        _webSocketMessages: Array.from({ length: 40 }, (_, at) => ({
          type: at % 2 === 0 ? 'send' : 'receive',
          time: at,
          opcode: at % 4 === 0 ? 1 : 2,
          data: at % 4 === 0 ? `{"seq": ${String(at)}}` : 'AAEC',
        })),
      },
    ],
  },
};

const OURS = readFileSync(join(REPOSITORY, 'docs/reference/collection.example.json'), 'utf8');

/** One of each kind that the page reads. */
export const FOREIGN_FILES: readonly ForeignFile[] = [
  { name: 'ours', content: OURS, holds: 'echo-trio collection: 1 connection and 1 environment.' },
  {
    name: 'hoppscotch',
    content: JSON.stringify(HOPPSCOTCH),
    holds: 'Hoppscotch collection: 2 connections and 1 environment.',
  },
  {
    name: 'postman',
    content: JSON.stringify(POSTMAN),
    holds: 'Postman collection: 3 connections and 1 environment.',
  },
  { name: 'har', content: JSON.stringify(HAR), holds: 'HAR: 1 connection.' },
];
