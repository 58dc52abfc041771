import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { Outgoing } from '../../lib/send-plan';
import { Conversation } from './conversation';
import { exportCsv, exportNdjson } from './export-log';
import { atSpeed, importLog } from './import-log';
import { binaryPayload, type Payload, textPayload } from './payload';

const describeNotice = (notice: string) => ({ type: notice, url: 'ws://127.0.0.1/' });
const EXPORTS = [
  ['NDJSON', exportNdjson],
  ['CSV', exportCsv],
] as const;

// jsdom's blobs cannot be read, but their parts can be, by the browser's own reader.
const textOf = (blob: Blob) =>
  new Promise<string>((resolve) => {
    const reader = new FileReader();
    reader.addEventListener('load', () => {
      resolve(reader.result as string);
    });
    reader.readAsText(blob);
  });

const payloads = fc.oneof(
  fc.string({ unit: 'grapheme' }).map(textPayload),
  fc.constantFrom('a,b', '"', 'two\r\nlines', 'a\n', '', '{"type": 1}').map(textPayload),
  fc.constantFrom('=1+1', "'=1", "''", "'a", ' @a', '\t', '-1', '＋1').map(textPayload),
  fc.uint8Array().map((bytes) => binaryPayload(Uint8Array.from(bytes))),
);
const dataOf = (payload: Payload): Outgoing =>
  payload.type === 'text' ? payload.text : payload.bytes;

describe.each(EXPORTS)('an export as %s', (_, write) => {
  it('is read back as what was sent, when, whatever was said', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(payloads, { minLength: 1, maxLength: 20 }), async (all) => {
        const conversation = new Conversation<string>();
        conversation.recordNotice('opened', 0);
        all.forEach((payload, index) => {
          conversation.recordSent(payload, 100 + index * 2.5);
          conversation.recordReceived(payload, 101 + index * 2.5);
        });
        const file = await textOf(write(conversation.snapshot().entries, describeNotice));
        expect(importLog(file)).toEqual({
          ok: true,
          sent: all.map((payload, index) => ({ afterMs: index * 2.5, data: dataOf(payload) })),
          others: all.length + 1,
        });
      }),
      { numRuns: 40 },
    );
  });
});

describe('an export', () => {
  it('tells each message with its verdict, suffix and round trip', async () => {
    const conversation = new Conversation<string>();
    conversation.recordSent(textPayload('hello'), 1);
    conversation.recordReceived(textPayload('hello 42'), 2.25);
    const { entries } = conversation.snapshot();
    const lines = (await textOf(exportNdjson(entries, describeNotice))).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { type: 'sent', at_ms: 1, number: 1, kind: 'text', data: 'hello', verdict: 'answered' },
      { type: 'received', data: 'hello 42', answers: 1, suffix: '42', round_trip_ms: 1.25 },
    ]);
    expect((await textOf(exportCsv(entries, describeNotice))).split('\r\n')[0]).toBe(
      'type,at,at_ms,number,kind,data,size_bytes,verdict,answers,suffix,round_trip_ms,details,sent_by',
    );
  });

  it.each(['=cmd|calc', '+1', '-1', '@SUM(1)', '\t=1', '\r=1', ' =1', '＝1', '－1'])(
    'has no cell in CSV that a spreadsheet computes: %j',
    async (said) => {
      const conversation = new Conversation<string>();
      conversation.recordSent(textPayload('hello'), 1);
      conversation.recordReceived(textPayload(said), 2);
      const { entries } = conversation.snapshot();
      const file = await textOf(exportCsv(entries, describeNotice));
      expect(file).toContain(`'${said}`);
      expect(file).not.toContain(`,${said}`);
      expect(file).not.toContain(`"${said}`);
    },
  );
});

describe('importLog', () => {
  const sent = '{"type":"sent","at_ms":1,"kind":"text","data":"a"}';
  it.each([
    ['a line that is no JSON', `${sent}\n{oops`, 'Line 2 is not JSON.'],
    ['a line of another kind', `${sent}\n\n[1]`, 'Line 3 is not a JSON object.'],
    ['a record without a type', '{"at_ms":1}', 'Line 1 has no "type".'],
    ['a record without a time', `${sent}\n{"type":"sent"}`, 'Line 2 has no number in "at_ms".'],
    [
      'bytes that are not base64',
      '{"type":"sent","at_ms":1,"kind":"binary","data":"%"}',
      'Line 1 is binary, but its "data" is not base64.',
    ],
    [
      'times that run backwards',
      `${sent}\n${sent.replace('1', '0')}`,
      'Line 2 was sent before the message above it.',
    ],
    ['nothing that was sent', '{"type":"opened","at_ms":1}', 'In this file nothing was sent.'],
    [
      'a file of something else',
      'hello there',
      'Neither NDJSON nor CSV as this page exports it: no column “type” in line 1.',
    ],
    [
      'a CSV row that is too short',
      'type,at_ms,kind,data\r\nsent,1,text,"a\nb"\r\nsent,2',
      'Line 4 has 2 cells, not 4.',
    ],
    [
      'a quote that stands alone',
      'type,at_ms,kind,data\nsent,1,text,a"b\n',
      'Line 2 has a quote that does not fit.',
    ],
  ])('names the line of %s', (_, file, problem) => {
    expect(importLog(file)).toEqual({ ok: false, problem });
  });

  it('plays as many times faster as one likes', () => {
    const messages = [0, 500, 2_000].map((afterMs) => ({ afterMs, data: 'a' }));
    expect(atSpeed(messages, 10).map(({ afterMs }) => afterMs)).toEqual([0, 50, 200]);
    expect(atSpeed(messages, Infinity).map(({ afterMs }) => afterMs)).toEqual([0, 0, 0]);
  });
});
