import { fromBase64, toBase64 } from '../../lib/base64';
import type { Entry, ReceivedEntry, SentEntry } from './conversation';
import { binaryPayload, type Payload, textPayload, weightOf } from './payload';

/**
 * What of a log outlives a reload: the newest entries, within what a browser lets a page keep for
 * a tab (some five million characters for all of the page).
 */
export const MOST_KEPT = { entries: 2_000, characters: 500_000 } as const;

/** A log as it was, for a page that begins anew. Moments are Unix milliseconds. */
export interface KeptLog<Notice> {
  readonly entries: readonly KeptEntry<Notice>[];
  /** Older ones, for which there was no room. */
  readonly left: number;
}

type KeptEntry<Notice> =
  | (Omit<SentEntry, 'id' | 'atMs' | 'characters' | 'payload'> & KeptMessage)
  | (Omit<ReceivedEntry, 'id' | 'atMs' | 'characters' | 'payload'> & KeptMessage)
  | { readonly kind: 'notice'; readonly unixMs: number; readonly notice: Notice };

interface KeptMessage {
  readonly unixMs: number;
  readonly text?: string;
  /** In base64. */
  readonly bytes?: string;
}

/**
 * The newest of a log as a text to keep. What still waits for its reply will not get it any more:
 * `unanswered` is what becomes of it.
 */
export function keepLog<Notice>(
  entries: readonly Entry<Notice>[],
  dropped: number,
  unanswered: SentEntry['fate'] = 'lost',
): string {
  const kept: KeptEntry<Notice>[] = [];
  let characters = 0;
  for (const entry of entries.slice(-MOST_KEPT.entries).reverse()) {
    characters += entry.characters;
    if (characters > MOST_KEPT.characters) break;
    kept.push(asKept(entry, unanswered));
  }
  kept.reverse();
  const log: KeptLog<Notice> = { entries: kept, left: dropped + entries.length - kept.length };
  return JSON.stringify(log);
}

function asKept<Notice>(entry: Entry<Notice>, unanswered: SentEntry['fate']): KeptEntry<Notice> {
  const unixMs = performance.timeOrigin + entry.atMs;
  if (entry.kind === 'notice') return { kind: 'notice', unixMs, notice: entry.notice };
  const { payload, ...rest } = entry;
  const carried =
    payload.type === 'text' ? { text: payload.text } : { bytes: toBase64(payload.bytes) };
  const message = { ...rest, unixMs, ...carried };
  return message.kind === 'sent' && message.fate === 'waiting'
    ? { ...message, fate: unanswered }
    : message;
}

/** The entries of a kept log, for a log that begins with `firstId`; `null` where it is not ours. */
export function readKeptLog<Notice>(
  text: string | null,
  firstId: number,
): { readonly entries: Entry<Notice>[]; readonly left: number } | null {
  try {
    const kept = JSON.parse(text ?? 'null') as KeptLog<Notice> | null;
    if (kept === null || !Array.isArray(kept.entries)) return null;
    const entries = kept.entries.map((entry: KeptEntry<Notice>, index): Entry<Notice> => {
      const shared = { id: firstId + index, atMs: entry.unixMs - performance.timeOrigin };
      if (entry.kind === 'notice') return { ...shared, ...entry, characters: 0 };
      const { text: words, bytes, ...rest } = entry;
      const payload: Payload =
        bytes === undefined ? textPayload(words ?? '') : binaryPayload(fromBase64(bytes));
      return { ...rest, ...shared, payload, characters: weightOf(payload) };
    });
    return { entries, left: kept.left };
  } catch {
    // Kept by another version of the page, or not by us at all.
    return null;
  }
}
