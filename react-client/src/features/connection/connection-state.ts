import type { CloseReport } from './close-report';

/** Moments are on the page's monotonic clock, in milliseconds. */
export type ConnectionState =
  | { readonly phase: 'idle' }
  | { readonly phase: 'connecting'; readonly url: string }
  | { readonly phase: 'open'; readonly url: string; readonly openedAtMs: number }
  | { readonly phase: 'closing'; readonly url: string }
  | { readonly phase: 'closed'; readonly report: CloseReport };

/** What the conversation tells about its connection. */
export type ConnectionNotice =
  | { readonly kind: 'opened'; readonly url: string; readonly handshakeMs: number }
  | {
      readonly kind: 'closed';
      readonly report: CloseReport;
      /** Messages that were still unanswered. */
      readonly lostCount: number;
    };
