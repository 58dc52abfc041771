import { beforeEach, describe, expect, it } from 'vitest';

import { NEW_CONNECTION, NO_AUTOMATION, type SavedMessage } from '../features/saved/model';
import {
  library,
  libraryRead,
  prepareConnection,
  prepareMessage,
  prepareRepeated,
} from './saved-work';

const message = (text: string, mode: SavedMessage['mode'] = 'text'): SavedMessage => ({
  name: '',
  mode,
  text,
});

async function choose(variables: Record<string, string>): Promise<void> {
  const list = Object.entries(variables).map(([name, value]) => ({ name, value, secret: false }));
  const added = await library.addEnvironment({ name: 'e', variables: list });
  library.chooseEnvironment(added.ok ? added.id : null);
}

beforeEach(async () => {
  await libraryRead();
  library.chooseEnvironment(null);
});

describe('what is sent', () => {
  it('has its variables and words filled in, and counts', async () => {
    await choose({ token: 'abc' });
    expect(await prepareMessage(3, '{{token}} {conn} {seq}')).toEqual({
      ok: true,
      value: 'abc 3 0',
    });
    expect(await prepareMessage(3, '{seq} {{seq}}')).toEqual({ ok: true, value: '1 {seq}' });
    expect(await prepareMessage(4, '{seq}')).toEqual({ ok: true, value: '0' });
    expect(await prepareRepeated(3, '{{token}} {conn} {seq}')).toEqual({
      ok: true,
      value: 'abc 3 {seq}',
    });
  });

  it('is refused for a variable that there is not, and goes as it is when sent again', async () => {
    const refused = await prepareMessage(5, 'hello {{nobody}}');
    expect(refused).toEqual({
      ok: false,
      problem:
        '{{nobody}} is no variable of the chosen environment. Send again to send it as it is.',
    });
    expect(await prepareMessage(5, 'hello {{nobody}}')).toEqual({
      ok: true,
      value: 'hello {{nobody}}',
    });
    expect(await prepareMessage(5, 'hello {{nobody}}')).toMatchObject({ ok: false });
    expect(await prepareMessage(5, 'another {{nobody}}')).toMatchObject({ ok: false });
    expect(await prepareRepeated(5, '{{nobody}}')).toMatchObject({ ok: false });
  });
});

describe('a connection', () => {
  const saved = (automation: object) =>
    library
      .addConnection({
        ...NEW_CONNECTION,
        name: 'one',
        address: 'ws://h/',
        automation: { ...NO_AUTOMATION, on: true, ...automation },
      })
      .then((written) => (written.ok ? written.id : ''));
  const prepare = (savedId: string, address = 'ws://h/', isDialled = true) =>
    prepareConnection({ address, savedId, conn: 2, isDialled });

  it('has its address filled in, or says what is missing', async () => {
    await choose({ token: 'abc' });
    expect(await prepare('', 'ws://h/{conn}/{room}?t={{token}}')).toEqual({
      ok: true,
      value: { url: 'ws://h/2/0?t=abc', automation: undefined, headers: [] },
    });
    expect(await prepare('', 'ws://h/{{nobody}}')).toEqual({
      ok: false,
      problem: 'In the address, {{nobody}} is no variable of the chosen environment.',
    });
  });

  it('sends by itself what was saved with it, with its variables filled in', async () => {
    await choose({ token: 'abc', wanted: 'p.ng' });
    const id = await saved({
      onOpen: [message('login {{token}} {seq}'), message('de ad', 'binary')],
      heartbeat: { everySeconds: 0.5, message: message('{"n": {seq}}', 'json') },
      rules: [{ when: { kind: 'regex', text: '^{{wanted}}$' }, send: message('pong') }],
    });
    expect(await prepare(id)).toEqual({
      ok: true,
      value: {
        url: 'ws://h/',
        automation: {
          onOpen: ['login abc {seq}', new Uint8Array([0xde, 0xad])],
          heartbeat: { data: '{"n": {seq}}', intervalMs: 500 },
          rules: [{ when: { kind: 'regex', text: '^p.ng$' }, send: 'pong' }],
        },
        headers: [],
      },
    });
  });

  it('sends by itself to no other host than the one that it was saved with', async () => {
    const id = await saved({ onOpen: [message('login')] });
    expect(await prepare(id, 'ws://h/other?x=1')).toMatchObject({
      value: { automation: { onOpen: ['login'] } },
    });
    for (const address of ['ws://elsewhere/', 'ws://h:81/', 'nonsense']) {
      expect(await prepare(id, address)).toMatchObject({ value: { automation: undefined } });
    }
  });

  it('has the headers that were saved with it, for its host alone', async () => {
    await choose({ token: 'abc' });
    const headers = [{ name: 'Authorization', value: 'Bearer {{token}}', secret: true }];
    const content = { ...NEW_CONNECTION, name: 'h', address: 'ws://h/', headers };
    const written = await library.addConnection(content);
    const id = written.ok ? written.id : '';
    expect(await prepare(id, 'ws://h/other')).toMatchObject({
      value: { headers: [['Authorization', 'Bearer abc']] },
    });
    expect(await prepare(id, 'ws://elsewhere/')).toMatchObject({ value: { headers: [] } });
    library.chooseEnvironment(null);
    expect(await prepare(id)).toEqual({
      ok: false,
      problem: 'In the header Authorization, {{token}} is no variable of the chosen environment.',
    });
    // A browser sends none, so none is missing.
    expect(await prepare(id, 'ws://h/', false)).toMatchObject({ ok: true, value: { headers: [] } });
  });

  it('sends nothing by itself that is turned off', async () => {
    const id = await saved({ on: false, onOpen: [message('{{nobody}}')] });
    expect(await prepare(id)).toMatchObject({ ok: true, value: { automation: undefined } });
  });

  it.each([
    [{ onOpen: [message('a {{x}}')] }, /^Sent on opening, “a {{x}}”: {{x}} is no variable/],
    [{ onOpen: [message('xyz', 'binary')] }, /^Sent on opening, “xyz”: “x” is not a hex digit/],
    [{ heartbeat: { everySeconds: 1, message: message('{{x}}') } }, /^The heartbeat “{{x}}”: /],
    [
      { rules: [{ when: { kind: 'contains', text: '{{x}}' }, send: message('a') }] },
      /^Reply rule 1: {{x}} is no variable/,
    ],
  ])('is not made before what it would send can be: %j', async (automation, problem) => {
    const prepared = await prepare(await saved(automation));
    expect(prepared.ok ? '' : prepared.problem).toMatch(problem);
  });
});
