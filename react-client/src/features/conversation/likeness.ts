/** Comparing more would hold up the page, and changes little. */
const COMPARED = 10_000;

/** The share of a message's characters that stand at the same place in a reply. */
export function likeness(reply: string, message: string): number {
  const length = Math.min(message.length, COMPARED);
  if (length === 0) return 0;
  let alike = 0;
  for (let at = 0; at < length; at++) {
    if (reply.charCodeAt(at) === message.charCodeAt(at)) alike += 1;
  }
  return alike / length;
}
