import { fromBase64 } from '../../../lib/base64';
import type { DialStep, ToldFrame } from './told';

const OPCODES: Readonly<Record<number, string>> = {
  0: 'continuation',
  1: 'text',
  2: 'binary',
  8: 'close',
  9: 'ping',
  10: 'pong',
};

export function nameOpcode(opcode: number): string {
  return OPCODES[opcode] ?? `opcode ${String(opcode)}`;
}

/** The latest of these steps, if there is one. */
export function stepOf<Name extends DialStep['name']>(
  steps: readonly DialStep[],
  name: Name,
): Extract<DialStep, { name: Name }> | undefined {
  return steps.findLast((step) => step.name === name) as
    | Extract<DialStep, { name: Name }>
    | undefined;
}

/** What a control frame says. */
export function describePayload(frame: ToldFrame): string {
  if (frame.code !== undefined) {
    const reason = frame.reason === undefined || frame.reason === '' ? '' : ` “${frame.reason}”`;
    return `${String(frame.code)}${reason}`;
  }
  if (frame.base64 === undefined) return '';
  const bytes = fromBase64(frame.base64);
  const text = new TextDecoder().decode(bytes);
  if (/^[ -~]*$/.test(text)) return `“${text}”`;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** The line of a head that says what it is of: `HTTP/1.1 401 Unauthorized`. */
export function firstLine(head: string): string {
  return head.split('\r\n', 1)[0] ?? '';
}

/** A connection through the server, in a few words. */
export function summarise(steps: readonly DialStep[]): string {
  const connected = stepOf(steps, 'connected');
  const tls = stepOf(steps, 'tls');
  const response = stepOf(steps, 'response');
  const parts = ['Through the server'];
  if (connected !== undefined) {
    const { address, port } = connected;
    parts.push(`${address.includes(':') ? `[${address}]` : address}:${String(port)}`);
  }
  if (tls !== undefined) {
    parts.push(`${tls.version ?? 'TLS'}${tls.verified ? '' : ', certificate not trusted'}`);
  }
  if (response !== undefined) parts.push(firstLine(response.head).replace(/^HTTP\/\S+ /, ''));
  return parts.join(' · ');
}
