import type { Payload } from './payload';

export interface CopyTarget {
  readonly url: string;
  readonly subprotocols: readonly string[];
}

/** A command or a script that says the same message, or why there is none. */
export interface Recipe {
  readonly name: 'wscat' | 'websocat' | 'Trio';
  readonly text: string | null;
  readonly whyNot?: string;
}

export function recipesFor(payload: Payload, target: CopyTarget): readonly Recipe[] {
  return [asWscat(payload, target), asWebsocat(payload, target), asTrio(payload, target)];
}

function asWscat(payload: Payload, { url, subprotocols }: CopyTarget): Recipe {
  if (payload.type === 'binary') {
    return { name: 'wscat', text: null, whyNot: 'wscat sends text only.' };
  }
  const offers = subprotocols.map((name) => ` -s ${quoted(name)}`).join('');
  // -w: long enough for the reply to be shown.
  return {
    name: 'wscat',
    text: `wscat -c ${quoted(url)}${offers} -w 2 -x ${quoted(payload.text)}`,
  };
}

function asWebsocat(payload: Payload, { url, subprotocols }: CopyTarget): Recipe {
  const offer = subprotocols.length === 0 ? '' : ` --protocol ${quoted(subprotocols.join(', '))}`;
  // -n1: one message, one reply.
  if (payload.type === 'binary') {
    const bytes = Array.from(payload.bytes, (byte) => `\\${byte.toString(8).padStart(3, '0')}`);
    return {
      name: 'websocat',
      text: `printf '${bytes.join('')}' | websocat -n1 -b${offer} ${quoted(url)}`,
    };
  }
  // It ends a message at each line, unless told that a NUL does.
  const isOneLine = !payload.text.includes('\n');
  const input = isOneLine ? `printf '%s\\n'` : `printf '%s\\0'`;
  const flags = isOneLine ? '-n1' : '-n1 -0';
  return {
    name: 'websocat',
    text: `${input} ${quoted(payload.text)} | websocat ${flags}${offer} ${quoted(url)}`,
  };
}

function asTrio(payload: Payload, { url, subprotocols }: CopyTarget): Recipe {
  const message =
    payload.type === 'text'
      ? pythonString(payload.text)
      : `bytes.fromhex("${Array.from(payload.bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}")`;
  const offer =
    subprotocols.length === 0
      ? ''
      : `, subprotocols=[${subprotocols.map(pythonString).join(', ')}]`;
  return {
    name: 'Trio',
    text: [
      '# pip install trio websockets',
      'import trio',
      'from websockets.trio.client import connect',
      '',
      '',
      'async def main() -> None:',
      `    async with connect(${pythonString(url)}${offer}) as websocket:`,
      `        await websocket.send(${message})`,
      '        print(await websocket.recv())',
      '',
      '',
      'trio.run(main)',
      '',
    ].join('\n'),
  };
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** JSON's escapes are Python's too, but for what lies beyond 16 bits, which is left as it is. */
function pythonString(text: string): string {
  return JSON.stringify(text);
}
