import { keyAt, readJsonTree } from '../../lib/json-path';
import { type Matching, pathsOf, type ReplyForm } from './matching';

/** One way to take a frame for a reply: to the waiting message that has this key. */
export interface Reading {
  readonly form: ReplyForm;
  readonly key: string;
  /** The suffix's digits, where it has one. */
  readonly suffix: string | null;
}

const SUFFIX = / (0|[1-9][0-9]{0,5})$/;
const SUFFIXED: ReplyForm = { by: 'suffix' };
const EXACT: ReplyForm = { by: 'exact' };

/**
 * Where protocols carry what tells one answer from another: in a message, and in its reply. From
 * the names that mean nothing else to those that may also number pushes.
 */
const IDENTIFIERS: readonly ReplyForm[] = [
  ...['id', 'requestId', 'request_id', 'reqId', 'req_id', 'rid', 'correlationId'],
  ...['correlation_id', 'messageId', 'message_id', 'msgId', 'msg_id', 'cid', 'nonce'],
  ...['id=replyTo', 'id=reply_to', 'id=inReplyTo', 'id=in_reply_to', 'id=requestId'],
  ...['id=request_id', 'id=correlationId', 'ref', 'seq'],
  // Arrays: Phoenix's [join_ref, ref, …] and WAMP's [type, request, …].
  '1',
].map((path) => ({ by: 'json', path }));

/** What a frame can be taken for under a matching, the surest first. */
export function readingsOf(reply: string, matching: Matching, isJsonAwaited: boolean): Reading[] {
  switch (matching.by) {
    case 'suffix':
      return suffixed(reply);
    case 'exact':
      return [exact(reply)];
    case 'json':
      return identified(reply, [matching]);
    case 'off':
      return [];
    case 'auto':
      return [
        ...suffixed(reply),
        exact(reply),
        ...(isJsonAwaited ? identified(reply, IDENTIFIERS) : []),
      ];
  }
}

/** By what the reply to a message will be found. */
export function keysOf(text: string, matching: Matching, mayBeJson: boolean): string[] {
  switch (matching.by) {
    case 'suffix':
    case 'exact':
      return [textKey(text)];
    case 'json':
      return identifiersIn(text, [matching]);
    case 'off':
      return [];
    case 'auto':
      return [textKey(text), ...(mayBeJson ? identifiersIn(text, IDENTIFIERS) : [])];
  }
}

/** Whether a key stands for an identifier of this form, and not for a text. */
export function isOfForm(key: string, form: ReplyForm): boolean {
  return form.by === 'json' ? key.startsWith(`${form.path}\n`) : key.startsWith('\n');
}

export function isSameForm(one: ReplyForm | undefined, other: ReplyForm | undefined): boolean {
  if (one?.by !== other?.by) return false;
  return one?.by !== 'json' || (other?.by === 'json' && one.path === other.path);
}

function suffixed(reply: string): Reading[] {
  const match = SUFFIX.exec(reply);
  const suffix = match?.[1];
  if (match === null || suffix === undefined) return [];
  return [{ form: SUFFIXED, key: textKey(reply.slice(0, match.index)), suffix }];
}

function exact(reply: string): Reading {
  return { form: EXACT, key: textKey(reply), suffix: null };
}

function identified(reply: string, forms: readonly ReplyForm[]): Reading[] {
  const tree = readJsonTree(reply);
  if (tree === undefined) return [];
  return forms.flatMap((form): Reading[] => {
    if (form.by !== 'json') return [];
    const value = keyAt(tree, pathsOf(form.path).theirs);
    return value === undefined
      ? []
      : [{ form, key: identifierKey(form.path, value), suffix: null }];
  });
}

function identifiersIn(text: string, forms: readonly ReplyForm[]): string[] {
  const tree = readJsonTree(text);
  if (tree === undefined) return [];
  return forms.flatMap((form) => {
    const value = form.by === 'json' ? keyAt(tree, pathsOf(form.path).own) : undefined;
    return form.by !== 'json' || value === undefined ? [] : [identifierKey(form.path, value)];
  });
}

/** No path begins with a line's end: a text and an identifier have no key in common. */
function textKey(text: string): string {
  return `\n${text}`;
}

function identifierKey(path: string, value: string): string {
  return `${path}\n${value}`;
}
