import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { connections } from '../../testing/saved-work';
import { draftOf, readConnectionDraft } from './connection-draft';
import { NEW_CONNECTION } from './model';

const draft = draftOf({ ...NEW_CONNECTION, name: 'one', address: 'ws://h/' });

describe('the form of a connection', () => {
  it('gives back what it was filled with', () => {
    fc.assert(
      fc.property(connections, (content) => {
        const isSaid = ({ name, text }: { name: string; text: string }) => name + text !== '';
        const { automation } = content;
        fc.pre(content.messages.every(isSaid) && automation.onOpen.every(isSaid));
        expect(readConnectionDraft(draftOf(content))).toEqual({ ok: true, content });
      }),
    );
  });

  it('leaves out rows in which nothing stands', () => {
    const empty = { name: '', mode: 'text', text: '' } as const;
    const read = readConnectionDraft({
      ...draft,
      subprotocols: ' mqtt,  chat ',
      messages: [empty, { ...empty, text: 'a' }, empty],
      headers: [{ name: '', value: '', secret: false }],
      automation: { ...draft.automation, heartbeat: { everySeconds: '0,5', message: empty } },
    });
    expect(read).toMatchObject({
      ok: true,
      content: {
        subprotocols: ['mqtt', 'chat'],
        messages: [{ text: 'a' }],
        headers: [],
        automation: { heartbeat: { everySeconds: 0.5 } },
      },
    });
  });

  it.each([
    [{ address: ' ' }, 'The address is missing.'],
    [{ subprotocols: 'a(b' }, 'There are subprotocols that cannot be offered: a(b.'],
    [
      { headers: [{ name: 'X Y', value: '1', secret: false }] },
      'There are headers that cannot be sent: X Y.',
    ],
    [
      {
        automation: {
          ...draft.automation,
          heartbeat: { everySeconds: 'often', message: { name: '', mode: 'text', text: 'a' } },
        },
      },
      'There are heartbeats without a message or an interval.',
    ],
  ] as const)('says what is wrong instead of dropping it: %j', (changed, problem) => {
    expect(readConnectionDraft({ ...draft, ...changed })).toEqual({ ok: false, problem });
  });
});
