import { formatCount } from '../../lib/figures';
import type { ReceivedEntry, SentEntry } from './conversation';

/** So that of many messages one is told from its neighbours. */
export function nameOf(entry: SentEntry | ReceivedEntry): string {
  if (entry.kind === 'sent') return `message ${formatCount(entry.number)}`;
  const { answers, verdict } = entry;
  if (answers !== undefined) return `reply to message ${formatCount(answers.number)}`;
  return verdict === 'unexpected' ? 'unexpected reply' : 'message received';
}
