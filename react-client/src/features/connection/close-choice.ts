export type CloseChoice =
  | { readonly ok: true; readonly code: number; readonly reason: string }
  /** `problem` is one line. */
  | { readonly ok: false; readonly problem: string };

/** A control frame has room for 125 bytes (RFC 6455, section 5.5); the code takes two. */
const MOST_REASON_BYTES = 123;

/** Reads a close code that a page may send, and a reason. */
export function readCloseChoice(typedCode: string, typedReason: string): CloseChoice {
  const code = Number(typedCode.trim());
  const isAllowed = code === 1000 || (code >= 3000 && code <= 4999);
  if (!/^\d{4}$/.test(typedCode.trim()) || !isAllowed) {
    return { ok: false, problem: 'A page may close with 1000, or with 3000 to 4999.' };
  }
  const reason = typedReason.toWellFormed();
  const bytes = new TextEncoder().encode(reason).length;
  if (bytes > MOST_REASON_BYTES) {
    const problem = `The reason has ${String(bytes)} bytes in UTF-8; there is room for ${String(MOST_REASON_BYTES)}.`;
    return { ok: false, problem };
  }
  return { ok: true, code, reason };
}
