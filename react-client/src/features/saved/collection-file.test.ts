import { fileURLToPath } from 'node:url';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { asImported, collections, withoutSecrets } from '../../testing/saved-work';
import { writeCollection } from './collection-file';
import { type Collection, NEW_CONNECTION, NO_AUTOMATION } from './model';
import { readFileText } from './read-file';

const message = (text: string) => ({ name: '', mode: 'text', text }) as const;

const WITH_SECRETS: Collection = {
  name: 'secrets',
  connections: [
    {
      ...NEW_CONNECTION,
      name: 'one',
      address: 'ws://h/?token=s3cret-value',
      headers: [
        { name: 'Authorization', value: 'Bearer s3cret-value', secret: true },
        { name: 'Cookie', value: 'Bearer {{token}}', secret: true },
        { name: 'X-Open', value: 's3cret-value!', secret: false },
      ],
      messages: [message('login s3cret-value s3cret-value')],
      automation: {
        ...NO_AUTOMATION,
        onOpen: [message('s3cret-value-and-more')],
        rules: [{ when: { kind: 'contains', text: 's3cret-value' }, send: message('1') }],
      },
    },
  ],
  environments: [
    {
      name: 'staging',
      variables: [
        { name: 'token', value: 's3cret-value', secret: true },
        { name: 'longer', value: 's3cret-value-and-more', secret: true },
        { name: 'short', value: '1', secret: true },
        { name: 'host', value: 'h', secret: false },
      ],
    },
  ],
};

const EXAMPLE: Collection = {
  name: 'Chat',
  connections: [
    {
      name: 'Chat / general',
      address: 'wss://{{host}}/rooms/general?token={{token}}',
      subprotocols: ['chat.v2'],
      headers: [{ name: 'Authorization', value: 'Bearer {{token}}', secret: true }],
      messages: [
        { name: 'hello', mode: 'json', text: '{"type": "say", "id": "{seq}", "text": "hello"}' },
        { name: '', mode: 'binary', text: 'de ad be ef' },
      ],
      automation: {
        on: true,
        onOpen: [{ name: '', mode: 'json', text: '{"type": "login", "token": "{{token}}"}' }],
        heartbeat: {
          everySeconds: 30,
          message: { name: '', mode: 'json', text: '{"type": "ping", "at": {now}}' },
        },
        rules: [
          {
            when: { kind: 'json', text: 'type=ping' },
            send: { name: '', mode: 'json', text: '{"type": "pong"}' },
          },
        ],
      },
    },
  ],
  environments: [
    {
      name: 'staging',
      variables: [
        { name: 'host', value: 'staging.example.org', secret: false },
        { name: 'token', value: 'not in the file', secret: true },
      ],
    },
  ],
};

describe('a collection', () => {
  it('comes back from its file as it was, but turned off', () => {
    fc.assert(
      fc.property(collections.map(withoutSecrets), (collection) => {
        const read = readFileText(writeCollection(collection).text);
        expect(read.ok && read.collection).toEqual(asImported(collection));
        const changed = read.ok ? read.notes.map(({ what }) => what) : ['not read'];
        expect(changed.filter((what) => !what.startsWith('connections that send'))).toEqual([]);
      }),
    );
  });

  it('leaves no secret in its file, wherever it stands', () => {
    const file = writeCollection(WITH_SECRETS);
    expect(file.text).not.toContain('s3cret');
    expect(file.secretsLeftOut).toBe(4);
    expect(file.secretsNamed).toBe(6);
    const read = readFileText(file.text);
    expect(read.ok && read.collection).toMatchObject({
      connections: [
        {
          address: 'ws://h/?token={{token}}',
          headers: [
            { name: 'Authorization', value: '', secret: true },
            { name: 'Cookie', value: 'Bearer {{token}}', secret: true },
            { name: 'X-Open', value: '{{token}}!' },
          ],
          messages: [{ text: 'login {{token}} {{token}}' }],
          automation: {
            onOpen: [{ text: '{{longer}}' }],
            rules: [{ when: { text: '{{token}}' }, send: { text: '1' } }],
          },
        },
      ],
    });
  });

  it('never has in its file what is marked as a secret', () => {
    fc.assert(
      fc.property(collections, fc.stringMatching(/^[A-Z0-9]{12}$/), (collection, secret) => {
        const variables = [{ name: 'hidden', value: secret, secret: true }];
        const file = writeCollection({
          ...collection,
          connections: collection.connections.map((one) => ({
            ...one,
            address: `${one.address}${secret}`,
            messages: one.messages.map((said) => ({ ...said, text: `${said.text}${secret}x` })),
          })),
          environments: [...collection.environments, { name: 'e', variables }],
        });
        expect(file.text).not.toContain(secret);
      }),
    );
  });

  it.each([
    [{ version: 2 }, 'This collection has version 2; this page reads version 1.'],
    [{}, 'This collection has no version that is known; this page reads version 1.'],
    [
      { version: 1, connections: [{ name: 'x' }, 7] },
      'In this echo-trio collection is no WebSocket, but 2 × connections without an address.',
    ],
  ])('of another form is refused in a line: %j', (file, problem) => {
    const text = JSON.stringify({ format: 'echo-trio.collection', ...file });
    expect(readFileText(text)).toEqual({ ok: false, problem });
  });

  it('that somebody has doctored is read as far as it is sound, and all else is counted', () => {
    const doctored = `{
      "format": "echo-trio.collection", "version": 1, "name": "a\\u202eb\\u0000c", "extra": 1,
      "__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}},
      "connections": [{
        "address": " ws://h/\\r\\nX-Evil: 1 ", "name": "${'n'.repeat(500)}",
        "__proto__": {"messages": [{"mode": "text", "text": "inherited"}]},
        "subprotocols": ["mqtt", "a b", "mqtt", 7],
        "headers": [{"name": "X-A", "value": "a\\r\\nX-B: b"}, {"name": "A:", "value": "b"}, null],
        "messages": [{"mode": "html", "text": "x"}, {"mode": "text", "text": 7}, "x"],
        "automation": {
          "on": true, "onOpen": [{"mode": "text", "text": "hi"}],
          "heartbeat": {"everySeconds": 0, "message": {"mode": "text", "text": "x"}},
          "rules": [{"when": {"kind": "regex", "text": "("}, "send": {"mode": "text", "text": "x"}}]
        }
      }],
      "environments": [{"name": "e", "variables": [
        {"name": "a b", "value": "1"}, {"name": "a", "value": "1"}, {"name": "a", "value": "2"},
        {"name": "__proto__", "value": "polluted"}
      ]}]
    }`;
    const read = readFileText(doctored);
    expect(read).toMatchObject({
      ok: true,
      collection: {
        name: 'a b c',
        connections: [
          {
            name: `${'n'.repeat(199)}…`,
            address: 'ws://h/ X-Evil: 1',
            subprotocols: ['mqtt'],
            headers: [],
            messages: [],
            automation: { on: false, onOpen: [{ text: 'hi' }], heartbeat: null, rules: [] },
          },
        ],
        environments: [
          {
            variables: [
              { name: 'a', value: '1' },
              { name: '__proto__', value: 'polluted' },
            ],
          },
        ],
      },
    });
    const notes = read.ok ? read.notes : [];
    expect(notes.map(({ what, count }) => `${String(count)} ${what}`)).toEqual([
      '3 subprotocols that cannot be offered',
      '3 headers that cannot be sent',
      '3 messages that are neither text nor JSON nor binary',
      '1 reply rules that cannot be followed',
      '1 heartbeats without a message or an interval',
      '1 variables whose name cannot stand in {{…}}',
      '1 variables of which there is another of that name',
      '3 keys that version 1 does not have',
      '1 connections that send by themselves: turned off until you turn them on',
    ]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

it('the example in the documentation is what is written', async () => {
  const path = fileURLToPath(
    new URL('../../../../docs/reference/collection.example.json', import.meta.url),
  );
  await expect(writeCollection(EXAMPLE).text).toMatchFileSnapshot(path);
});
