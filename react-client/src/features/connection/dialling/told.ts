/** What the console tells of a connection that it has dialled: docs/reference/console.md. */

/** One of the steps to a connection, or its end, as the stream has it. Times in milliseconds. */
export type DialStep =
  | { readonly name: 'dial'; readonly id: string; readonly url: string; readonly t: number }
  | {
      readonly name: 'resolved';
      readonly t: number;
      readonly ms: number;
      readonly addresses: readonly string[];
    }
  | {
      readonly name: 'connected';
      readonly t: number;
      readonly ms: number;
      readonly address: string;
      readonly port: number;
      readonly from: string;
      readonly failed: readonly { readonly address: string; readonly error: string }[];
    }
  | ({ readonly name: 'tls'; readonly t: number; readonly ms: number } & TlsFacts)
  | { readonly name: 'request'; readonly t: number; readonly head: string }
  | {
      readonly name: 'response';
      readonly t: number;
      readonly ms: number;
      readonly head: string;
      /** Of a refusal alone. */
      readonly body: string | null;
      readonly whole: boolean;
    }
  | {
      readonly name: 'opened';
      readonly t: number;
      readonly subprotocol: string;
      readonly extensions: string;
    }
  | ({ readonly name: 'closed'; readonly t: number } & DialEnd);

export interface TlsFacts {
  readonly version: string | null;
  readonly cipher: string | null;
  readonly bits: number | null;
  readonly alpn: string | null;
  readonly verified: boolean;
  readonly problem: string | null;
  readonly server_name: string;
  readonly client_certificate: string | null;
  readonly chain: readonly CertificateFacts[];
}

export interface CertificateFacts {
  readonly subject: string;
  readonly issuer: string;
  readonly not_before: string;
  readonly not_after: string;
  readonly names: readonly string[];
}

export interface DialEnd {
  readonly opened: boolean;
  readonly cause: string;
  readonly why: string;
  readonly closed_first: 'us' | 'server' | null;
  readonly sent: CloseFrame | null;
  readonly received: CloseFrame | null;
}

export interface CloseFrame {
  readonly code: number;
  readonly reason: string;
}

export interface ToldFrame {
  readonly type: 'frame';
  readonly way: 'in' | 'out';
  readonly t: number;
  readonly opcode: number;
  readonly fin: boolean;
  readonly rsv1: boolean;
  readonly masked: boolean;
  /** Bytes of its payload, on the wire and after inflating. */
  readonly wire: number;
  readonly plain: number;
  /** Of a ping or pong. */
  readonly base64?: string;
  /** Of a close frame. */
  readonly code?: number;
  readonly reason?: string;
  readonly ticket?: number;
}

export type ToldRecord =
  | ToldFrame
  | {
      readonly type: 'message';
      readonly t: number;
      readonly text?: string;
      readonly base64?: string;
    };
