import type { CloseReport } from './close-report';

/** Moments are on the page's monotonic clock, in milliseconds. */
export type ConnectionState =
  | { readonly phase: 'idle' }
  | {
      readonly phase: 'connecting';
      readonly url: string;
      /** Of an attempt that the page makes by itself; absent where one has asked for it. */
      readonly attempt?: number;
    }
  | { readonly phase: 'open'; readonly url: string; readonly openedAtMs: number }
  | { readonly phase: 'closing'; readonly url: string }
  | {
      readonly phase: 'closed';
      readonly report: CloseReport;
      /** Absent when nothing more will happen by itself. */
      readonly retry?: Retry;
    };

/** The next attempt at a connection that was lost. */
export interface Retry {
  /** 1 for the first. */
  readonly attempt: number;
  readonly atMs: number;
}

/** What the conversation tells about its connection. */
export type ConnectionNotice =
  | {
      readonly kind: 'opened';
      readonly url: string;
      readonly handshakeMs: number;
      /** What the server chose; empty for none. */
      readonly subprotocol: string;
      readonly extensions: string;
    }
  /** What is above was said before the page was loaded anew. */
  | {
      readonly kind: 'reloaded';
      /** Entries for which there was no room. */
      readonly left: number;
    }
  /** A reply rule, counted from 1, that was taken for one end of a loop. */
  | { readonly kind: 'ruleStopped'; readonly rule: number; readonly replies: number }
  /** An attempt to connect again that came to nothing. */
  | { readonly kind: 'failedAgain'; readonly attempt: number }
  | {
      readonly kind: 'closed';
      readonly report: CloseReport;
      /** Messages that were still unanswered. */
      readonly lostCount: number;
    };
